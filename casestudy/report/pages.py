"""Pages from templates: self-contained HTML in which every value from a file is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from casestudy.words import counted, duration, percent

# What stands beside the word of each status of a grade, in the order of the bars; the words are `grading.outcomes`'.
SIGNS = {"earned": "✓", "partial": "◐", "not earned": "✗", "no evidence": "∅", "needs review": "…"}


def page(template: str, **values: Any) -> str:
    """Returns a template, filled in; a value that is missing is an error, not a gap."""
    return _environment().get_template(template).render(**values)


def source(name: str) -> Markup:
    """Returns a file beside the templates, as it stands: what is hashed must be what the browser reads."""
    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0].replace("\r\n", "\n"))


def interval(ends: Sequence[float | None], between: str = " – ") -> str:
    """Returns the two ends of an interval as people read it, and one dash where it is not known.

    >>> interval((0.908, 0.923)), interval((float("nan"), None))
    ('90.8 % – 92.3 %', '–')
    """
    low, high = map(percent, ends)
    return "–" if "–" in (low, high) else f"{low}{between}{high}"


def gap(points: float) -> str:
    """Returns a difference of shares, in percentage points and without its sign, in words.

    >>> gap(39.6), gap(-1.0)
    ('39.6 points', '1 point')
    """
    return counted(round(abs(points), 1), "point")


def decimals(value: float | None) -> str:
    """Returns a loss with two decimals, an absent one as a dash."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def points(value: float) -> str:
    """Returns points of a grade without a needless decimal.

    >>> points(5.0), points(2.5)
    ('5', '2.5')
    """
    return f"{value:g}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("casestudy.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["signs"], environment.filters["sign"] = SIGNS, SIGNS.__getitem__
    environment.filters |= {one.__name__: one for one in (percent, interval, gap, decimals, points, counted, duration)}
    return environment
