"""How a setting stands on the command line: its help, the text of its value and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """How one field of `Options` stands on the command line.

    A field that is True or False is a flag, read and written by its presence alone.
    """

    help: str
    metavar: str | None = None  # what stands for its value in the help
    read: Callable[[str], Any] = str  # the value of a text; a ValueError where it is none
    write: Callable[[Any], str] = str  # the text of a value, every bit of it
    form: str = ""  # what a text looks like, in words


def option(default: Any, help: str, metavar: str | None = None, **how: Any) -> Any:
    return field(default=default, metadata={"option": Option(help, metavar, **how)})


def numbers(default: Any, help: str, kind: type, example: str) -> Any:
    """Returns an option with a number for each phase."""
    return option(
        default,
        help,
        example,
        read=lambda text: tuple(kind(part) for part in text.split(",")),
        write=lambda values: ",".join(map(repr, values)),
        form=f"a number for each phase, as {example}",
    )


def number(default: Any, help: str, kind: type, metavar: str) -> Any:
    return option(default, help, metavar, read=kind, write=repr, form="a number")


def choice(default: Any, help: str, choices: Iterable[str]) -> Any:
    return option(default, help, "{" + ",".join(choices) + "}")


def read_size(text: str) -> tuple[int, int]:
    height, x, width = text.partition("x")
    return int(height), int(width if x else height)


def write_size(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
