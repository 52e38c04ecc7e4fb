"""Writes requirements.lock anew: the newest versions pyproject.toml allows, one each for all platforms and Pythons.

Needs uv and the network: `python -m SCRIPTS.release.lock`. The file is replaced only if every supported platform and
Python finds a wheel with a listed hash for every package; sdists are left out, so installing never runs a build. Only
the standard library is used: the environment of the old lock may be what cannot be made.
"""

import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (
    "x86_64-manylinux_2_28",
    "aarch64-manylinux_2_28",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)  # TensorFlow's own list; Intel Macs ended with 2.16
# --no-config: what this machine's settings say about indexes must not reach the file.
UV = (shutil.which("uv") or "uv", "--no-config", "--quiet", "pip")
HEADER = "# Made by SCRIPTS/release/lock.py from pyproject.toml (extra: test). Do not edit.\n"


def main():
    """Returns the exit code: 0 when the lock was replaced, else that of the step which failed."""
    new = ROOT / "requirements.lock.tmp"
    # fewest: one version of a package for all Pythons, so that results do not differ between them for this reason.
    compile_lock = (*UV, "compile", "--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest")
    shape = ("--generate-hashes", "--only-binary", ":all:", "--no-header", "--no-annotate", "--upgrade")
    source = ("pyproject.toml", "--extra", "test", "--output-file", str(new))
    code = subprocess.call([*compile_lock, *shape, *source], cwd=ROOT, stdout=subprocess.DEVNULL)
    if code:
        return code
    text = HEADER + new.read_text(encoding="utf-8")
    if "://" in text:
        print("The lock holds names, versions and hashes only, but an address got in. See", new, file=sys.stderr)
        return 1
    new.write_text(text, encoding="utf-8", newline="\n")
    for platform, python in itertools.product(PLATFORMS, PYTHONS):
        print("checking", platform, python, flush=True)
        how = ("--dry-run", "--only-binary", ":all:", "--require-hashes", "-r", str(new))
        with tempfile.TemporaryDirectory() as nothing:
            where = ("--python-platform", platform, "--python-version", python, "--target", nothing)
            code = subprocess.call([*UV, "install", *where, *how])
        if code:
            return code
    new.replace(ROOT / "requirements.lock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
