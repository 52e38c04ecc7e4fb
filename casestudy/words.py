"""What is said to people: counts, shares, times, the near word that may have been meant, and what a run is not."""

import math

from casestudy.cleaning.words import (
    STATUSES as STATUSES,
    counted as counted,
    did_you_mean as did_you_mean,
    printable as printable,
)

MANY_LABELS = 60  # of more, a matrix is shown without its numbers, and of a list the part that matters most
MEANINGLESS = "Drawn images stand in for the data of this study. The numbers mean nothing: they show what a run has."
DRAWN = "The hands are drawn by a program. What is read of them says nothing about photographs of people."
QUICK = "This is a quick look: small images and few epochs. How good the model can be, only the whole run tells."


def percent(value: float | None) -> str:
    """Returns a share as people read it; an absent one as a dash.

    >>> percent(0.8512), percent(float("nan"))
    ('85.1 %', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def duration(seconds: float) -> str:
    """Returns seconds as people say them: from ten minutes on, in minutes.

    >>> duration(0.2), duration(42.4), duration(190), duration(600), duration(8100)
    ('1 s', '42 s', '3 min 10 s', '10 min', '2 h 15 min')
    """
    seconds = max(round(seconds), 1)
    if seconds < 600:
        return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def banner(drawn: object, quick: bool) -> str:
    """Returns what has to be known of a run before any of its numbers is read; "" where nothing is in the way.

    >>> banner(None, False), banner("stand-in", True) == MEANINGLESS, banner("sample", True) == f"{DRAWN} {QUICK}"
    ('', True, True)
    """
    if drawn == "stand-in":
        return MEANINGLESS
    return " ".join([DRAWN] * (drawn == "sample") + [QUICK] * quick)
