"""Frozen records that check themselves when they are made, each field by its annotation, and that JSON can hold.

Why not a library: pydantic takes a tenth of a second to import, for commands that take less; msgspec and cattrs check
what is read and not what is made; and none of them says in one line the rule, what was received and what to do next.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import re
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union

from casestudy.errors import CaseStudyError, DataError
from casestudy.words import did_you_mean

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
        for name, hint in _hints(typing.cast("Any", type(self))).items():
            value = getattr(self, name)
            if problem := _problem(value, hint):
                raise DataError(f"{self.called(name)} is {problem}")
            object.__setattr__(self, name, _plain(value))
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
        """Returns the record that `to_json` wrote; a DataError tells what is wrong in which field of the `source`."""
        return _read(values, cls, source, "")

    @classmethod
    def of_before(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns plain values of the version before as this version writes them."""
        return values


def not_one_of(what: str, value: object, known: Collection[str]) -> DataError:
    """Returns the error for a word that is none of those known, with the near one that may have been meant."""
    return DataError(_wrong(f"{what} is one of {', '.join(known)}", value, known))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _wrong(rule: str, value: object, known: Collection[str] = ()) -> str:
    """Returns the rule, what was received, on one line, and what to do next: of those known, take the near one."""
    shown = " ".join(repr(value).split())
    remedy = did_you_mean(value, known) or ("Use one of them." if known else "Change it.")
    return f"{rule}; received {shown if len(shown) <= 80 else shown[:79] + '…'}. {remedy}"


def _problem(value: Any, hint: Any) -> str:
    """Returns what is wrong with a value, and "" where it is as its annotation says."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        inner, *rules = arguments
        return _problem(value, inner) or next((_wrong(str(rule), value) for rule in rules if value not in rule), "")
    if origin in (Union, types.UnionType):
        problems = [_problem(value, one) for one in arguments]
        named = (problem for problem, one in zip(problems, arguments, strict=True) if one is not type(None))
        return next(named) if all(problems) else ""
    if origin is Literal:
        plain, known = _plain(value), list(map(str, arguments))
        right = any(type(plain) is type(one) and plain == one for one in arguments)
        return "" if right else _wrong(f"one of {', '.join(known)}", value, known)
    if origin is tuple:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis and isinstance(value, tuple) else arguments
        if not isinstance(value, tuple) or len(kinds) != len(value):
            return _wrong("a tuple" if arguments[-1] is Ellipsis else f"a tuple of {len(arguments)}", value)
        inside = (_problem(one, kind) for one, kind in zip(value, kinds, strict=True))
        return next((f"a tuple, each {problem}" for problem in inside if problem), "")
    if origin is dict or typing.is_typeddict(hint):
        if not isinstance(value, Mapping):
            return _wrong("a dictionary", value)
        by_name = dict.fromkeys(value, arguments[1]) if origin is dict else _hints(hint)
        for name in value:
            if name not in by_name:
                return _wrong(f"a dictionary of {', '.join(by_name)}", name, by_name)
        within = {name: _problem(one, by_name[name]) for name, one in value.items()}
        return next((f"a dictionary whose {name} is {problem}" for name, problem in within.items() if problem), "")
    wanted = {int: numbers.Integral, float: numbers.Real}.get(hint, origin or hint)
    if hint is Any or (isinstance(value, wanted) and (hint is bool or not isinstance(value, bool))):
        return "" if hint is not float or abs(value) < math.inf else _wrong("a finite number", value)
    words = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", type(None): "None"}
    return _wrong(words.get(hint) or f"a {getattr(hint, '__name__', hint)}", value)


def _plain(value: Any) -> Any:
    """Returns the value with Python's own numbers in place of NumPy's, which JSON does not know."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value.item() if isinstance(value, numbers.Number) and hasattr(value, "item") else value


def _read(value: Any, hint: Any, source: str, place: str) -> Any:
    """Returns a plain JSON value as its annotation has it: records for objects, tuples for lists."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Annotated, Union, types.UnionType):  # a union is one of something and None
        return None if value is None else _read(value, arguments[0], source, place)
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
    value, hints = hint.of_before(value), _hints(typing.cast("Any", hint))
    fields = inspect.signature(hint).parameters
    within = f"{place}.".lstrip(".")
    if unknown := [name for name in value if name not in fields]:
        raise DataError(f"{source} has the field {within}{unknown[0]}, which this version does not know.")
    needed = [name for name, field in fields.items() if field.default is field.empty]
    if missing := [name for name in needed if name not in value]:
        raise DataError(f"{source} lacks the field {within}{missing[0]}, which this version needs.")
    made = {name: _read(one, hints[name], source, f"{place}.{name}") for name, one in value.items()}
    try:
        return hint(**made)
    except CaseStudyError as error:
        raise DataError(f"{source}: {error}") from error
