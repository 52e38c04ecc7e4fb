"""What one folder's or file's name can mean, by itself: a person, a part, a letter, a word, or nothing."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from casestudy.cleaning.stored_names import clean_part


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PERSON, PART, CONTENT, SESSION, ASPECT = "person", "part", "content", "session", "aspect"  # kinds of folders, and
LETTER, NUMBER, WORD = "letter", "number", "word"  # three that can be labels

PARTS = {  # what folders of published parts are called, and what they are called here
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_WHO = "user|signer|subject|person|participant|student|volunteer"
_PERSON_FOLDER = re.compile(
    rf"(?:.*[\W_])?(?:{_WHO}|hand|[psu])[ _-]?\d+|(?:{_WHO})[ _-].+|(?:{_WHO})\d+\w*", re.IGNORECASE
)
_PERSON_TOKEN = re.compile(rf"(?:{_WHO}|hand)\d+", re.IGNORECASE)  # in a file's name
_LETTER_FOLDER = re.compile(r"(?:(?:class|label|letter|sign)[ _-]?)?([^\W_])", re.IGNORECASE)
_NUMBER_FOLDER = re.compile(r"(?:(?:class|label|letter|sign)[ _-])?(\d{2,})", re.IGNORECASE)
_CONTENTS = _set(
    "data dataset datasets image images img imgs photo photos picture pictures pic pics frame frames jpg jpeg png "
    "sample samples raw all letter letters alphabet alphabets asl sign signs signing language digit digits "
    "gesture gestures archive macosx misc my new old set final hand hands fingerspelling full export upload "
    "download"
)
_SESSIONS = _set(
    "session sessions take takes video videos vid clip clips sequence sequences seq batch round trial recording "
    "rec scene camera cam shot shots repetition rep attempt device day week"
)
_ASPECTS = _set(
    "left right front side up down near far rgb color colour depth ir grey gray dark bright light lit background "
    "bg indoor outdoor inside outside night morning evening noon augmented original cropped resized flipped "
    "mirrored"
)
_DATE = re.compile(r"(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d.*|\d\d?[-_.]\d\d?[-_.](?:19|20)\d\d.*")
TARS = (".tgz", ".tbz2", ".txz", ".tzst")  # names of compressed tars, in one piece
PACKED = (".gz", ".bz2", ".xz", ".zst")  # what is compressed as a whole
_ENDINGS = "|".join(map(re.escape, (".rar", ".zip", ".7z", ".tar", *TARS, *PACKED)))
_ARCHIVE = re.compile(rf"(.+?)(?:{_ENDINGS})+", re.IGNORECASE)

_ROBOFLOW = re.compile(r"_(?:jpe?g|png|bmp|webp|gif)\.rf\.\w+$", re.IGNORECASE)  # A22_jpg.rf.3c3e….jpg
_TAIL = rf"(?:[ _-]*\(\d+\)|[ _-]+(?:\d+|copy|copie|kopie|{'|'.join(PARTS)})(?![^\W\d_]))*"
_LETTER_STEM = re.compile(r"([^\W\d_])(?:[ _-]?\(?\d{1,4}\)?)?" + _TAIL, re.IGNORECASE)
_LONGEST = 255  # characters of a class
_AFTER_A_CLASS = re.compile(r"(?:[ _-]?\(?\d+\)?)?" + _TAIL, re.IGNORECASE)
_TOKENS = re.compile(r"[ _.()-]+")


def tidy(name: str) -> str:
    """Returns a folder's name in composed Unicode, and that of an archive within the archive without its ending.

    >>> tidy("user_1.tar.gz"), tidy("v1.5"), tidy("Zoe\\u0308") == "Zo\\u00eb"
    ('user_1', 'v1.5', True)
    """
    found = _ARCHIVE.fullmatch(name)
    return unicodedata.normalize("NFC", found[1] if found else name)


def is_archive(name: str) -> bool:
    """Returns whether a folder is an archive within the archive, or one of several."""
    return _ARCHIVE.fullmatch(name) is not None


def kind_of(name: str) -> str:
    """Returns what a folder of that name is, as far as the name itself tells.

    >>> [kind_of(name) for name in ("user_3", "asl_alphabet_train", "my photos", "session1", "left", "class_A", "10")]
    ['person', 'part', 'content', 'session', 'aspect', 'letter', 'number']
    >>> kind_of("long sleeve"), kind_of("Ñ"), kind_of("train_42_b")
    ('word', 'letter', 'word')
    """
    if _LETTER_FOLDER.fullmatch(name):
        return LETTER
    if _NUMBER_FOLDER.fullmatch(name):
        return NUMBER
    if _PERSON_FOLDER.fullmatch(name):
        return PERSON
    words = re.findall(r"[^\W\d_]+", name.casefold())
    if words and all(word in _CONTENTS or word in PARTS for word in words):
        return PART if sum(word in PARTS for word in words) == 1 else CONTENT
    if _DATE.fullmatch(name) or (words and all(word in _SESSIONS | _CONTENTS for word in words)):
        return SESSION
    if words and all(word in _ASPECTS | _CONTENTS | _SESSIONS for word in words):
        return ASPECT
    return WORD


def part_of(name: str) -> str:
    """Returns "train", "validation" or "test" for the folder of a part.

    >>> part_of("asl_alphabet_test"), part_of("Valid")
    ('test', 'validation')
    """
    return next(PARTS[word] for word in re.findall(r"[^\W\d_]+", name.casefold()) if word in PARTS)


@lru_cache(4096)
def as_label(text: str) -> str:
    """Returns a label as it is stored, "" for what cannot be one: one letter upper-case, a word as it is written.

    It can be a folder on every system, and never looks like a folder of ours, which begin with "_".

    >>> [as_label(text) for text in ("a", "class_7", "ß", "long sleeve", "what?", "_quarantine", "class_10")]
    ['A', '7', 'ß', 'long sleeve', 'what_', '', '10']
    """
    text = unicodedata.normalize("NFC", text).strip()
    if found := _LETTER_FOLDER.fullmatch(text) or _NUMBER_FOLDER.fullmatch(text):
        text = found[1]
        return text.upper() if len(text.upper()) == 1 else text
    label = clean_part(text)
    return "" if label.startswith(("_", ".")) else label


def letter_of(stem: str) -> str:
    """Returns the letter that a file's name is, with a count at most, as it is written there; else "".

    >>> [letter_of(stem) for stem in ("A0", "b_12", "C (3)", "A1 (1)", "A copy", "A_1699999910", "A_test", "Ñ4")]
    ['A', 'b', 'C', 'A', 'A', 'A', 'A', 'Ñ']
    >>> [letter_of(stem) for stem in ("7", "A12345", "IMG_1", "holiday", "C_over_sea")]
    ['', '', '', '', '']
    """
    found = _LETTER_STEM.fullmatch(stem)
    return found[1] if found else ""


def class_of(stem: str, known: dict[str, str]) -> str:
    """Returns which of the known classes (by their case-folded names) a file is named for; else "".

    >>> [class_of(stem, {"nothing": "nothing", "a": "A"}) for stem in ("nothing_test", "a12", "ab")]
    ['nothing', 'A', '']
    """
    folded = stem.casefold()
    for end in range(min(len(folded), _LONGEST), 0, -1):
        if (label := known.get(folded[:end])) and _AFTER_A_CLASS.fullmatch(folded, end):
            return label
    return ""


def stem_of(file_name: str) -> str:
    """Returns a file's name without its extension, and without what Roboflow appends.

    >>> stem_of("A22_jpg.rf.3c3e0f.jpg"), stem_of("A0.JPG"), stem_of("noextension")
    ('A22', 'A0', 'noextension')
    """
    stem = file_name.rpartition(".")[0] or file_name
    return unicodedata.normalize("NFC", _ROBOFLOW.sub("", stem))


def tokens_of(stem: str) -> list[str]:
    """Returns the pieces of a file's name.

    >>> tokens_of("hand1_a_bot-seg (1)")
    ['hand1', 'a', 'bot', 'seg', '1']
    """
    return [token for token in _TOKENS.split(stem) if token]


def is_person_token(token: str) -> bool:
    """Returns whether a piece of a file's name names a person.

    >>> is_person_token("hand1"), is_person_token("User12"), is_person_token("p1"), is_person_token("user")
    (True, True, False, False)
    """
    return bool(_PERSON_TOKEN.fullmatch(token))
