"""Where the images of a study come from, and how they are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from casestudy.errors import DataError
from casestudy.records import Matching, Record


@dataclass(frozen=True)
class Download(Record):
    """One file of a study's data.

    Attributes:
        name: What it is called in the folder that `sources.fetch_all` returns; readers know files by official names.
        url: Its address.
        sha256: In hexadecimal.
        of: What it is the SHA-256 of: the "file", or the "images" in a zip (`sources.images_digest`), where the host
            packs them anew for each download.
    """

    name: str
    url: Annotated[str, Matching(r"https?://.+", "an http or https address")]
    sha256: Annotated[str, Matching(r"[0-9a-f]{64}", "a SHA-256 of 64 hexadecimal digits")]
    of: Literal["file", "images"] = "file"


@dataclass(frozen=True)
class DataSpec(Record):
    """Where the images of a study come from, and how they are stored.

    Attributes:
        kind: "archive" is cleaned into a letters.zip first; "idx" is a published set of IDX files, "table" one of CSV
            files with a column a pixel.
        downloads: What is fetched where a run is given no data; none for the embedded sample.
        pattern: How the names in an archive tell label and signer, where they do it in another way than ours.
        layout: The same in words, such as "signer/label".
        subset: What the names of the IDX files begin with, as "emnist-balanced"; see `data.idx_sets`.
        class_names: Of the labels 0, 1, …, for IDX files without a mapping and for a drawn stand-in.
        transposed: Whether rows are stored as columns.
        scaled_apart: Of IDX files, whether each pixel's column is stretched to 0-255 in the training and in the test
            part apart, as some sources do: the test part then tells about itself.
        channels: Of the images of an archive: 3 for colours, 1 for greys.
        home: Where a person finds the data.
    """

    kind: Literal["archive", "idx", "table"] = "archive"
    downloads: tuple[Download, ...] = ()
    pattern: str | None = None
    layout: str | None = None
    subset: str = ""
    class_names: tuple[str, ...] = ()
    transposed: bool = False
    scaled_apart: bool = False
    channels: Literal[1, 3] = 3
    home: str = ""

    @classmethod
    def of_before(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        values = dict(values)
        if values.pop("test_folder", ""):  # the parts stood in the signers' place
            values["pattern"] = (values.get("pattern") or "").replace("(?P<signer>", "(?P<part>") or None
        return values

    def check(self) -> None:
        if self.pattern is not None:
            check_pattern(self.pattern)
        if self.layout is not None:
            from casestudy.cleaning import find_layout  # only now: it needs the decoders

            find_layout([], layout=self.layout)
        if len(set(self.class_names)) < len(self.class_names):
            raise DataError(f"class_names of a DataSpec are all different; received {self.class_names}. Change one.")


def check_pattern(pattern: str) -> None:
    """Raises a DataError unless the pattern is a regular expression with a group named label."""
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise DataError(f"A pattern is a regular expression; {pattern!r} is none ({error}). Mend it.") from None
    if "label" not in groups:
        raise DataError(
            f"A pattern has a group named label; {pattern!r} has none. Write (?P<label>…) around the letter."
        )
