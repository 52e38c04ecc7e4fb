"""Frozen records that check themselves when they are made, each field by its annotation, and that JSON can hold.

Why not a library: pydantic takes a tenth of a second to import, for commands that take less; msgspec and cattrs check
what is read and not what is made; and none of them says in one line the rule, what was received and what to do next.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union

from casestudy.errors import CaseStudyError, DataError

R = TypeVar("R", bound="Record")


@dataclass(frozen=True)
class Between:
    """The range of a number; its ends belong to it unless `open` says otherwise.

    >>> str(Between(0, 1, open="[)")), 0.5 in Between(0, 1), 1 in Between(0, 1, open="[)")
    ('from 0 to below 1', True, False)
    """

    low: float
    high: float = math.inf
    open: Literal["[]", "(]", "[)", "()"] = "[]"

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open[0] == "(" else value >= self.low
        return above and (value < self.high if self.open[1] == ")" else value <= self.high)

    def __str__(self) -> str:
        low = f"{'above' if self.open[0] == '(' else 'from'} {self.low:,g}"
        high = "" if self.high == math.inf else f"{'below' if self.open[1] == ')' else ''} {self.high:,.0f}"
        return low + (f" to {high.strip()}" if high else " up")


@dataclass(frozen=True)
class Matching:
    """The form of a text: a regular expression that all of it matches, and the same in words."""

    pattern: str
    words: str

    def __contains__(self, value: str) -> bool:
        return bool(re.fullmatch(self.pattern, value))

    def __str__(self) -> str:
        return self.words


class Record:
    """Base of frozen dataclasses whose fields are checked, when they are made, against their annotations."""

    def __post_init__(self) -> None:
        hints = _hints(typing.cast("Any", type(self)))
        for field in dataclasses.fields(typing.cast("Any", self)):
            value = getattr(self, field.name)
            if problem := _problem(value, hints[field.name]):
                raise DataError(f"{self.called(field.name)} is {problem}")
            object.__setattr__(self, field.name, _plain(value))
        self.check()

    @classmethod
    def called(cls, name: str) -> str:
        """Returns what a message calls a field."""
        return f"{name} of a {cls.__name__}"

    def check(self) -> None:
        """Raises a DataError where fields that are right by themselves do not go together."""

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(typing.cast("Any", self))

    @classmethod
    def from_json(cls: type[R], values: Any, *, source: str = "the record") -> R:
        """Returns the record that `to_json` wrote.

        Args:
            values: Plain JSON values.
            source: Where they come from, for the error's message.

        Raises:
            DataError: A field is unknown, missing or not what its annotation says.
        """
        return _read(values, cls, source, "")


def did_you_mean(value: object, known: typing.Iterable[str]) -> str:
    """Returns the question whether a near name was meant, and "" where none is near.

    >>> did_you_mean("cosin", ["constant", "cosine"])
    "Did you mean 'cosine'?"
    """
    near = difflib.get_close_matches(str(value), list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _problem(value: Any, hint: Any) -> str:
    """Returns the rule, what was received and what to do next; "" where the value is as its annotation says."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        inner, *rules = arguments
        broken = _problem(value, inner) or next((str(rule) for rule in rules if value not in rule), "")
        return broken if not broken or "received" in broken else f"{broken}; received {value!r}. Change it."
    if origin in (Union, types.UnionType):
        problems = [_problem(value, one) for one in arguments]
        if not all(problems):
            return ""
        return next(problem for problem, one in zip(problems, arguments, strict=True) if one is not type(None))
    if origin is Literal:
        if any(type(value) is type(one) and value == one for one in arguments):
            return ""
        remedy = did_you_mean(value, map(str, arguments)) or "Use one of them."
        return f"one of {', '.join(map(str, arguments))}; received {value!r}. {remedy}"
    if origin is tuple:
        return _sequence_problem(value, arguments)
    if typing.is_typeddict(hint):
        return _mapping_problem(value, hint)
    if origin is dict:
        if not isinstance(value, Mapping):
            return f"a dictionary; received {value!r}. Change it."
        return next(
            (f"{problem} (at {key!r})" for key, one in value.items() if (problem := _problem(one, arguments[1]))), ""
        )
    wanted = {int: numbers.Integral, float: numbers.Real}.get(hint, origin or hint)
    if hint is Any or (isinstance(value, wanted) and (hint is bool or not isinstance(value, bool))):
        return "" if hint is not float or abs(value) < math.inf else f"a finite number; received {value!r}. Change it."
    words = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", type(None): "None"}
    rule = words.get(hint) or f"a {getattr(hint, '__name__', hint)}"
    return f"{rule}; received {value!r}. Change it."


def _plain(value: Any) -> Any:
    """Returns the value with Python's own numbers in place of NumPy's, which JSON does not know."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value.item() if isinstance(value, numbers.Number) and hasattr(value, "item") else value


def _sequence_problem(value: Any, arguments: tuple[Any, ...]) -> str:
    if not isinstance(value, tuple):
        return f"a tuple; received {value!r}. Change it."
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(kinds) != len(value):
        return f"a tuple of {len(kinds)}; received {value!r}. Change it."
    return next((problem for one, kind in zip(value, kinds, strict=True) if (problem := _problem(one, kind))), "")


def _mapping_problem(value: Any, hint: Any) -> str:
    if not isinstance(value, Mapping):
        return f"a dictionary; received {value!r}. Change it."
    known = _hints(hint)
    for name, one in value.items():
        if name not in known:
            remedy = did_you_mean(name, known) or "Use one of them."
            return f"a dictionary of {', '.join(known)}; received {name!r}. {remedy}"
        if problem := _problem(one, known[name]):
            return f"a dictionary whose {name} is {problem}"
    missing = sorted(hint.__required_keys__ - value.keys())
    return f"a dictionary with {', '.join(missing)}; received {dict(value)!r}. Add what is missing." if missing else ""


def _read(value: Any, hint: Any, source: str, place: str) -> Any:
    """Returns a plain JSON value as its annotation has it: records for objects, tuples for lists."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _read(value, arguments[0], source, place)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(value, next(a for a in arguments if a is not type(None)), source, place)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else [*arguments, *[Any] * len(value)]
        pairs = enumerate(zip(value, kinds, strict=False))  # what is too much is left for the record to refuse
        return tuple(_read(one, kind, source, f"{place}[{k}]") for k, (one, kind) in pairs)
    if origin is dict and isinstance(value, Mapping):
        return {key: _read(one, arguments[1], source, f"{place}.{key}") for key, one in value.items()}
    if not (isinstance(hint, type) and issubclass(hint, Record)):
        return value
    if not isinstance(value, Mapping):
        raise DataError(f"{source} must hold an object at {place.strip('.') or 'its top'}; it holds {value!r}.")
    hints = _hints(typing.cast("Any", hint))
    fields = {field.name: field for field in dataclasses.fields(typing.cast("Any", hint))}
    unknown = [f"{place}.{name}".strip(".") for name in value if name not in fields]
    if unknown:
        raise DataError(f"{source} has the field {unknown[0]}, which this version does not know.")
    needed = (
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    missing = [f"{place}.{name}".strip(".") for name in needed if name not in value]
    if missing:
        raise DataError(f"{source} lacks the field {missing[0]}, which this version needs.")
    made = {name: _read(one, hints[name], source, f"{place}.{name}") for name, one in value.items()}
    try:
        return hint(**made)
    except CaseStudyError as error:
        raise DataError(f"{source}: {error}") from error
