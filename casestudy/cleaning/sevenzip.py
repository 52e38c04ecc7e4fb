"""Anything that the 7-Zip program reads: its listing, its stream cut by that listing, and its count of the files."""

from __future__ import annotations

import re
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from casestudy.cleaning import decoders, members
from casestudy.cleaning.decoders import Decoder, DecoderStream
from casestudy.cleaning.errors import ArchiveError, DecoderError, PasswordError
from casestudy.cleaning.members import Member, Reader, damaged, readable
from casestudy.cleaning.words import printable

KINDS = ("7z", "zip", "Rar", "Rar5", "tar", "Split", "Cab", "Iso", "Udf", "wim", "Arj", "Lzh", "cpio")
STREAMS = ("gzip", "bzip2", "xz", "zstd", "lzma", "Z")  # of one file, whose size they need not say
SIGNATURE = b"7z\xbc\xaf\x27\x1c"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder as 7-Zip lists it."""

    name: str
    size: int | None  # in bytes; None where the archive does not say
    checksum: int | None  # CRC-32 of its bytes; None where the archive keeps none, or it is keyed
    is_dir: bool = False
    encrypted: bool = False
    method: str = ""


@dataclass(frozen=True)
class Listing:
    """What 7-Zip says of an archive."""

    kinds: tuple[str, ...]  # as 7-Zip calls them; of a split archive "Split" and then what it holds
    entries: tuple[Entry, ...]  # in the order of extraction
    errors: str = ""  # one line
    warnings: str = ""
    tail: int = 0  # bytes behind the end of the archive


class Unreadable(Exception):
    """A stream does not fit the listing at this entry."""

    def __init__(self, why: str, position: int) -> None:
        super().__init__(why)
        self.position = position


@dataclass(frozen=True)
class _Task(Decoder):
    """7-Zip, asked something else than to unpack all of an archive."""

    arguments: tuple[str, ...] = ()

    def command(self, archive: Path, *, has_password: bool) -> list[str]:
        return [self.program, *self.arguments, "-bd", "-spd", "-sccUTF-8", "-scsUTF-8", "--", str(archive.resolve())]


def wrong_password(path: Path) -> PasswordError:
    """Returns the error for a password that was given."""
    return PasswordError(f"The password does not open {path.name}, or the archive is damaged: check --password.")


def missing_password(path: Path) -> PasswordError:
    """Returns the error for a password that was not given."""
    return PasswordError(f"{path.name} is encrypted: pass its password with --password.")


def seven_zips() -> list[Decoder]:
    """Returns the 7-Zip programs of this machine, best first."""
    return [decoder for decoder in decoders.find_decoders() if decoder.kind == "7zip"]


def ask(path: Path, password: str | None, *arguments: str) -> tuple[int, str, str]:
    """Returns (exit status, output, complaints) of 7-Zip's first program for a command such as "l".

    Raises:
        DecoderError: This machine has no 7-Zip.
    """
    for program in seven_zips():
        command = _Task(program.name, program.program, "7zip", arguments).command(path, has_password=True)
        try:
            answer = subprocess.run(
                command, input=b"" if password is None else password.encode() + b"\n", capture_output=True, check=False
            )
            break
        except OSError:  # not to be started: the next one
            continue
    else:
        raise DecoderError(f"{path.name} needs 7-Zip, and it is missing: {decoders.HOW_TO_GET_ONE}.")
    said, complaints = (text.decode("utf-8", "replace") for text in (answer.stdout, answer.stderr))
    return answer.returncode, said.replace("\r\n", "\n"), complaints.replace("\r\n", "\n")


def list_archive(path: Path, password: str | None) -> Listing:
    """Returns what 7-Zip lists.

    Raises:
        ArchiveError: 7-Zip cannot open it.
        PasswordError: Its names are encrypted, and the password is missing or wrong.
        DecoderError: This machine has no 7-Zip.
    """
    status, said, complaints = ask(path, password, "l", "-slt")
    head, line, body = said.partition("\n----------\n")
    if not line:
        if password is None and (status == 255 or "Enter password" in said):  # it asked, and nobody answered
            raise missing_password(path)
        if "Wrong password" in complaints + said:
            raise wrong_password(path)
        why = _after(complaints, "ERRORS:") or "no archive"
        what = f"{path.name} is no RAR, ZIP or TAR, and 7-Zip cannot open it"
        raise ArchiveError(printable(f"{what} ({why}): fetch it again."))
    kinds = tuple(re.findall(r"^Type = (.+)$", head, re.MULTILINE))
    tail = re.findall(r"^Tail Size = (\d+)$", head, re.MULTILINE)
    entries = [_entry(block, path.stem) for block in body.strip("\n").split("\n\n") if " = " in block]
    errors, warnings = (_after(head, word) for word in ("ERRORS:", "WARNINGS:"))
    return Listing(kinds, tuple(entries), errors, warnings, int(tail[-1]) if tail else 0)


def _after(said: str, word: str) -> str:
    found = re.search(rf"^{word}\n(.+)$", said, re.MULTILINE)
    return printable(found[1]) if found else ""


def _entry(block: str, unnamed: str) -> Entry:
    fields = dict(line.partition(" = ")[::2] for line in block.split("\n"))
    size, checksum = fields.get("Size", ""), fields.get("CRC", "")
    is_dir = fields.get("Folder") == "+" or "D" in fields.get("Attributes", "").split(" ")[0]
    return Entry(
        name=fields.get("Path", unnamed),  # a compressed file need not say how it is called
        size=int(size) if size.isdigit() else None,
        checksum=int(checksum, 16) if checksum else None,
        is_dir=is_dir and size in ("", "0"),
        encrypted=fields.get("Encrypted") == "+",
        method=fields.get("Method", ""),
    )


def cut_stream(path: Path, password: str | None, entries: Sequence[Entry], *arguments: str) -> Iterator[bytes]:
    """Yields the bytes of each entry, from one pass of 7-Zip, each checked against its size and checksum before.

    Where several 7-Zip programs are installed, the next goes on where one stopped. Of entries without checksum, the
    program's own verdict at the end is the only one.

    Args:
        path: The archive, or the first part of one.
        password: Given to the program on its standard input.
        entries: Exactly the files that 7-Zip writes, in its order.
        arguments: Further ones for 7-Zip: which files.

    Raises:
        Unreadable: No program could; its position is that of the first entry that is missing.
        DecoderError: This machine has no 7-Zip.
    """
    failure, done = None, 0
    for decoder in seven_zips():
        task = _Task(decoder.name, decoder.program, "7zip", ("x", "-so", *arguments))
        try:
            with DecoderStream(task, path, password) as stream:
                for position, entry in enumerate(entries):
                    data = stream.read(members.MAX_MEMBER_BYTES + 1 if entry.size is None else entry.size)
                    why = _misfit(entry, data)
                    if why:
                        raise Unreadable(why, position)
                    if position == done:
                        done += 1
                        yield data
                if stream.read(1):
                    raise Unreadable("7-Zip sends more than it lists", len(entries) - 1)
                unsure = [k for k, entry in enumerate(entries) if entry.checksum is None and entry.size != 0]
                if unsure and not stream.succeeded():
                    raise Unreadable(stream.complaint() or "7-Zip ended with an error", unsure[0])
            return
        except (Unreadable, OSError) as error:
            failure = error if isinstance(error, Unreadable) else Unreadable(str(error), done)
    if failure is None:
        raise DecoderError(f"{path.name} needs 7-Zip, and it is missing: {decoders.HOW_TO_GET_ONE}.")
    raise failure


def _misfit(entry: Entry, data: bytes) -> str:
    if entry.size is not None and len(data) < entry.size:
        return "is cut short"
    if entry.checksum is not None and zlib.crc32(data) != entry.checksum:
        return "fails its checksum"
    return ""


class SevenZipReader(Reader):
    """An archive that only 7-Zip reads, in the order of its listing."""

    def names(self) -> list[str]:
        return [readable(entry.name) for entry in self._files()]

    def members(self) -> Iterator[Member]:
        files = self._files()
        if self.password is None and any(entry.encrypted for entry in files):
            raise missing_password(self.path)
        for entry in files:
            self.refuse_giant(printable(entry.name), entry.size or 0)
        bad = self._bad_names() if self.salvage else set()
        sound = [entry for entry in files if entry.name not in bad]
        with tempfile.TemporaryDirectory() as folder:
            arguments = []
            if bad:
                list_file = Path(folder, "bad.txt")
                list_file.write_text("\n".join(sorted(bad)), encoding="utf-8")
                arguments = [f"-x@{list_file}"]
            yield from self._streamed(files, sound, cut_stream(self.path, self.password, sound, *arguments))

    def _streamed(self, files: Sequence[Entry], sound: Sequence[Entry], stream: Iterator[bytes]) -> Iterator[Member]:
        bad, broken = {id(entry) for entry in files} - {id(entry) for entry in sound}, ""
        for entry in files:
            name = readable(entry.name)
            if id(entry) in bad or broken:
                yield Member(name, b"", lost=broken or "fails its checksum")
                continue
            try:
                data = next(stream)
            except Unreadable as error:
                if not self.salvage:
                    raise self._error(entry, str(error)) from None
                broken = "cannot be unpacked"
                yield Member(name, b"", lost=broken)
            else:
                self.refuse_giant(printable(name), len(data))
                yield Member(name, data)
        if not broken:
            try:
                next(stream, None)  # what stands behind the last one is checked, too
            except Unreadable as error:
                if not self.salvage or (sound and sound[error.position].encrypted):
                    raise self._error(sound[error.position] if sound else Entry("it", 0, None), str(error)) from None
                self.remarks.append(f"7-Zip ended with an error ({printable(str(error))})")

    def _error(self, entry: Entry, why: str) -> ArchiveError:
        return wrong_password(self.path) if entry.encrypted else damaged(self.path, f"{entry.name} {why}")

    def _files(self) -> list[Entry]:
        self.remarks.clear()
        listing = list_archive(self.path, self.password)
        kind = listing.kinds[-1] if listing.kinds else ""
        if kind not in KINDS + STREAMS:
            raise ArchiveError(f"{self.path.name} is no archive that is read here ({printable(kind)}).")
        what = listing.errors or (listing.warnings if self._joined(listing.tail) else "")
        if what and not self.salvage:
            raise damaged(self.path, what)
        if what or listing.warnings:
            self.remarks.append(f"read as 7-Zip reads it ({what or listing.warnings})")
        return [entry for entry in listing.entries if not entry.is_dir]

    def _joined(self, tail: int) -> bool:
        """Returns whether another archive stands behind the end of this one."""
        with self.path.open("rb") as file:
            file.seek(-min(tail, self.path.stat().st_size), 2)
            behind = file.read() if tail else b""
        return any(mark in behind for mark in (SIGNATURE, b"PK\x03\x04", b"Rar!\x1a\x07"))

    def _bad_names(self) -> set[str]:
        """Returns what fails 7-Zip's test: left out, the rest comes as one stream that can be cut."""
        complaints = ask(self.path, self.password, "t")[2]
        if self.password is not None and "Wrong password" in complaints:
            raise wrong_password(self.path)
        return set(re.findall(r"^ERROR: [^:\n]+ : (.+)$", complaints, re.MULTILINE))
