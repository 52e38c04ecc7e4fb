r"""A layout in words, such as `signer/label`: read upwards from the file, and turned into a pattern.

Words for folders: `label`, `signer`, `part` (of a published set), `any` (says nothing). The last word may be for the
file's name instead: `name`, which is the label's letter and a count (`A0.jpg`), or words joined by "_" for the pieces
of a name (`signer_label` reads `anna_A_3.jpg`). Folders above those that are named say nothing.
"""

from __future__ import annotations

from casestudy.cleaning.errors import DataError
from casestudy.cleaning.words import did_you_mean

LAYOUTS = (  # the common ones
    *("label", "signer/label", "label/signer", "label/any", "part/label", "part/signer/label"),
    *("name", "signer/name", "part/name", "signer_label", "label_signer", "any_label"),
)
_WORDS = ("label", "signer", "part", "any")


def layout_pattern(layout: str) -> str:
    r"""Returns the regular expression that a layout stands for.

    >>> layout_pattern("signer/label")
    '(?:^|/)(?P<signer>[^/]+)/(?P<label>[^/]+)/[^/]+$'
    >>> layout_pattern("signer/name")
    '(?:^|/)(?P<signer>[^/]+)/(?P<label>[^\\W\\d_])(?![^\\W\\d_])[^/]*$'
    >>> layout_pattern("any_label")
    '(?:^|/)[^/_ .-]+[_ .-]+(?P<label>[^/_ .-]+)[_ .-][^/]*$'
    """
    words = layout.split("/")
    *folders, file = words if words[-1] == "name" or "_" in words[-1] else [*words, ""]
    pieces = file.split("_") if "_" in file else []
    named = [*folders, *pieces, *(["label"] if file == "name" else [])]
    doubled = any(named.count(word) > 1 for word in _WORDS[:3])
    if "label" not in named or doubled or not set(named) <= set(_WORDS):
        near = did_you_mean(layout, LAYOUTS) or "More: casestudy clean --help."
        raise DataError(f"--layout takes words such as {', '.join(LAYOUTS)}; received {layout!r}. {near}")
    above = "".join(_group(word, "[^/]+") + "/" for word in folders)
    if pieces:
        end = "[_ .-]+".join(_group(word, "[^/_ .-]+") for word in pieces) + "[_ .-][^/]*"
    else:
        end = r"(?P<label>[^\W\d_])(?![^\W\d_])[^/]*" if file == "name" else "[^/]+"
    return f"(?:^|/){above}{end}$"


def _group(word: str, form: str) -> str:
    return form if word == "any" else f"(?P<{word}>{form})"
