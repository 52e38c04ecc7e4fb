"""Who handed in what, by the file that Gradescope puts beside the folders of a whole class.

Source: the export "Download Submissions", as public programs that rename such folders read it: YAML that Ruby wrote,
with ":submitters:" below each folder's name, and ":name:", ":sid:" and ":email:" of each. There is much else in it,
what students' programs printed, too; so only these lines are read, by their indentation, and nothing of YAML is made.
"""

from __future__ import annotations

import io
import re
import zipfile
from functools import lru_cache
from pathlib import Path

from casestudy.grading.containers import MOST_TOGETHER, Packed, file_in, readable

METADATA = "submission_metadata.yml"
FOLDER = re.compile(r"submission_\d+")
OF_FOLDER = re.compile(r"['\"]?([^\s'\"]+)['\"]?:$")
SUBMITTER = re.compile(r"  (?P<first>- |  ):(?P<key>\w+):(?: (?P<value>.*))?$")
WANTED = ("name", "sid", "email")
ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")


def submitters(path: Path | Packed) -> list[tuple[str, str]]:
    """Returns name and id of each who handed in a folder of Gradescope's, or a file in it; [] where nobody knows."""
    place = path.place if isinstance(path, Packed) else path.absolute()
    folder = next((one for one in (place, place.parent) if FOLDER.fullmatch(one.name)), None)
    if folder is None:
        return []
    file = folder.parent / METADATA
    if isinstance(path, Packed):
        known = _known(path.whole, file.relative_to(path.file).as_posix())
    else:
        known = _known(None, str(file), file.stat().st_mtime_ns if file.is_file() else 0)
    return known.get(folder.name, [])


@lru_cache(maxsize=1)
def _known(whole: zipfile.ZipFile | None, name: str, changed: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Returns the submitters of each folder; they are read once, for the file is a whole class's."""
    if whole is not None:
        return read_submitters(file_in(whole, name, MOST_TOGETHER))
    sound = changed and not Path(name).is_symlink() and Path(name).stat().st_size <= MOST_TOGETHER
    return read_submitters(Path(name).read_bytes() if sound else b"")


def read_submitters(data: bytes) -> dict[str, list[tuple[str, str]]]:
    """Returns name and id of each submitter by the name of the folder; the id is the address where there is no other.

    >>> read_submitters(b"submission_7:\\n  :submitters:\\n  - :name: Anna\\n    :sid: '12'\\n  :score: 1\\n")
    {'submission_7': [('Anna', '12')]}
    """
    found: dict[str, list[dict[str, str]]] = {}
    folder, listing = "", False
    for line in io.StringIO(data.decode("utf-8-sig", "replace"), newline="\n"):
        line = line.rstrip("\r\n")
        if line[:1].strip():  # a name at the margin
            folder, listing = (start[1] if (start := OF_FOLDER.match(line)) else ""), False
        elif line == "  :submitters:" and folder and folder not in found:
            listing, found[folder] = True, []
        elif listing and (part := SUBMITTER.match(line)):
            if part["first"] == "- ":
                found[folder].append({})
            if part["key"] in WANTED and found[folder]:
                found[folder][-1].setdefault(part["key"], _scalar(part["value"] or ""))
        elif re.match(r"  \S", line):  # the next key of the folder
            listing = False
    people = {folder: [[one.get(key, "") for key in WANTED] for one in several] for folder, several in found.items()}
    return {
        folder: [(name or sid or mail, sid or mail or name) for name, sid, mail in several if name or sid or mail]
        for folder, several in people.items()
    }


def _scalar(text: str) -> str:
    """Returns what a name or a number is in YAML, on one line; "" for what is none.

    >>> _scalar("'O''Neill'"), _scalar('"Ann\\\\u00e9 \\\\"A\\\\""'), _scalar("&a !ruby/object:X"), _scalar("Li #1")
    ("O'Neill", 'Anné "A"', '', 'Li #1')
    """
    text = text.strip()
    if text[:1] == "'" and text[-1:] == "'":
        text = text[1:-1].replace("''", "'")
    elif text[:1] == '"' and text[-1:] == '"':
        text = ESCAPED.sub(_character, text[1:-1])
    elif text[:1] in tuple("&*!|>{[%@`") or text in ("~", "null"):
        return ""
    return readable(text, 80)


def _character(found: re.Match[str]) -> str:
    number = found[1] or found[2] or found[3]
    return chr(int(number, 16)) if number and int(number, 16) < 0x110000 else found[4] or " "
