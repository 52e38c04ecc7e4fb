"""What this machine has for the case study, and what to do about what it lacks.

Nothing heavy is imported and nothing is downloaded: TensorFlow is looked up, not loaded, so the answer takes well under
a second and comes even where TensorFlow is broken or missing.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from casestudy.cleaning import name_decoders
from casestudy.models import check_weights

NEEDED = ("Python", "TensorFlow", "Keras", "disk")  # without one of these no run comes to its end
NEWEST_PYTHON = (3, 13)  # TensorFlow has no wheels for later ones
MEMORY_NEEDED = 3e9  # bytes available: ResNet50V2 at 96 px, the images and TensorFlow itself
DISK_NEEDED = 1e9  # bytes free: a run's checkpoints, its model and the image cache
WINDOWS_AVX2 = 40  # PF_AVX2_INSTRUCTIONS_AVAILABLE of IsProcessorFeaturePresent


@dataclass(frozen=True)
class Checked:
    """One thing the case study needs or likes to have: what was found, and what to do where that is not enough."""

    name: str
    found: str
    remedy: str = ""
    needed: bool = False  # to train

    @property
    def ok(self) -> bool:
        """Whether nothing is to be done."""
        return not self.remedy

    @property
    def state(self) -> str:
        """How it stands, in a word: ok, optional where it could be better, needed where it must."""
        return "ok" if self.ok else "needed" if self.needed else "optional"


def check_machine(folder: Path | str = ".") -> list[Checked]:
    """Returns what was found, in the order of the pipeline, where runs are written to the folder; never raises."""
    checks: dict[str, Callable[[], Checked]] = {
        "Python": check_python,
        "archive decoder": check_decoder,
        "TensorFlow": check_tensorflow,
        "Keras": check_keras,
        "GPU": check_gpu,
        "ImageNet weights": lambda: Checked("ImageNet weights", *check_weights("imagenet")),
        "signs weights": lambda: Checked("signs weights", *check_weights("signs")),
        "memory": check_memory,
        "disk": lambda: check_disk(Path(folder)),
        "processor": check_processor,
    }
    checked = []
    for name, check in checks.items():
        try:
            checked.append(replace(check(), needed=name in NEEDED))
        except Exception as error:  # a doctor who falls ill helps nobody: any surprise is itself a finding
            found = f"could not be examined ({type(error).__name__}: {error})"
            checked.append(Checked(name, found, "Try the run all the same; if it fails, report this line."))
    return checked


def check_python() -> Checked:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = (3, 11) <= sys.version_info[:2] <= NEWEST_PYTHON or _installed("tensorflow")
    return Checked("Python", found, "" if ok else "Install Python 3.13: TensorFlow has wheels for 3.11 to 3.13.")


def check_decoder() -> Checked:
    """Returns which programs can unpack compressed RAR archives here; stored ones, as the sample, need none."""
    found, remedy = name_decoders()
    return Checked("archive decoder", found or "none", remedy)


def check_tensorflow() -> Checked:
    """Returns whether TensorFlow is installed, without importing it."""
    if not _installed("tensorflow"):
        return Checked("TensorFlow", "not installed", "Run `pip install tensorflow`; cleaning works without it.")
    return Checked("TensorFlow", _version("tensorflow", "tensorflow-cpu", "tf-nightly"))


def check_keras() -> Checked:
    """Returns Keras' version and backend, which must be TensorFlow with Keras 3."""
    if not _installed("keras"):
        return Checked("Keras", "not installed", "Run `pip install tensorflow`, which brings it.")
    version = _version("keras")
    if version.startswith("2."):
        return Checked("Keras", version, "Run `pip install --upgrade tensorflow`: the models are Keras 3's.")
    # casestudy sets the backend where the environment leaves it open, so keras.json has no say.
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    remedy = "" if backend == "tensorflow" else "Unset KERAS_BACKEND, or set it to tensorflow: training uses tf.data."
    return Checked("Keras", f"{version}, backend {backend}", remedy)


def check_gpu() -> Checked:
    """Returns the GPUs TensorFlow could use; the sample trains in minutes without one."""
    found = "; ".join(_nvidia_gpus())
    if not found:
        remedy = "Not needed for the sample; for more data use an NVIDIA machine or Colab."
        return Checked("GPU", "none for TensorFlow; training runs on the processor", remedy)
    if sys.platform == "win32":
        return Checked("GPU", found, "TensorFlow leaves GPUs unused on Windows: run the project inside WSL 2.")
    if not (importlib.util.find_spec("nvidia") or shutil.which("nvcc") or Path("/usr/local/cuda").exists()):
        return Checked("GPU", f"{found}; no CUDA libraries", "Run `pip install 'tensorflow[and-cuda]'`.")
    return Checked("GPU", found)


def check_memory() -> Checked:
    """Returns the memory of this machine, or of the container it is."""
    total, available = memory_bytes()
    remedy = f"Close other programs until {_gb(MEMORY_NEEDED)} are free, or use a smaller --image-size."
    found = f"{_gb(available)} available of {_gb(total)}"
    return Checked("memory", found, remedy if available < MEMORY_NEEDED else "")


def check_disk(folder: Path) -> Checked:
    while not folder.exists():  # a folder still to be made is on the disk of the first parent there is
        folder = folder.absolute().parent
    free = shutil.disk_usage(folder).free
    remedy = f"Free {_gb(DISK_NEEDED)}, or write elsewhere with --out."
    return Checked("disk", f"{_gb(free)} free in {folder.resolve()}", remedy if free < DISK_NEEDED else "")


def check_processor() -> Checked:
    """Returns the usable cores, and whether what makes TensorFlow fast on them is on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{cores} core{'s' if cores > 1 else ''}"
    if platform.machine().lower() in ("arm64", "aarch64"):
        return Checked("processor", f"{found}, {platform.machine()}")
    if not has_avx2():
        return Checked("processor", f"{found}, no AVX2", "Training works but is slow: use another machine or Colab.")
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") == "0":
        remedy = "Unset TF_ENABLE_ONEDNN_OPTS: on some processors training takes twice as long without oneDNN."
        return Checked("processor", f"{found}, AVX2, oneDNN switched off", remedy)
    return Checked("processor", f"{found}, AVX2, oneDNN on")


def memory_bytes() -> tuple[int, int]:
    """Returns the total and the available memory in bytes; a container's limit counts as the total."""
    if sys.platform == "win32":
        status = (ctypes.c_ulonglong * 8)(64)  # a MEMORYSTATUSEX: its length (and the load), total, available, …
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status[1], status[2]
    if sys.platform == "darwin":
        total = int(_output("sysctl", "-n", "hw.memsize"))
        pages = dict(line.split(":") for line in _output("vm_stat").splitlines()[1:] if ":" in line)
        free = sum(int(pages[f"Pages {kind}"].strip(" .")) for kind in ("free", "inactive", "speculative"))
        return total, free * int(_output("sysctl", "-n", "hw.pagesize"))
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(lines[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    for group in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")):  # version 2, version 1
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            if (group / limit).is_file() and (text := (group / limit).read_text().strip()).isdecimal():
                left = int(text) - int((group / used).read_text())
                total, available = min(total, int(text)), min(available, max(left, 0))
    return total, available


def has_avx2() -> bool:
    """Returns whether the processor has AVX2; without it TensorFlow's x86 kernels run at a fraction of their speed."""
    if sys.platform == "win32":
        return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(WINDOWS_AVX2))
    if sys.platform == "darwin":
        return "AVX2" in _output("sysctl", "-n", "machdep.cpu.leaf7_features")
    return "avx2" in Path("/proc/cpuinfo").read_text().split()


def _nvidia_gpus() -> list[str]:
    """Returns name and memory of each NVIDIA GPU whose driver answers."""
    try:
        return _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader").splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _version(*distributions: str) -> str:
    """Returns the version of the first of these distributions that is installed."""
    for name in distributions:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "of unknown version"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
