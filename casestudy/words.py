"""What is said to people: counts with their nouns, times, and the near word that may have been meant."""

from casestudy.cleaning.words import counted, did_you_mean

__all__ = ["counted", "did_you_mean", "duration"]


def duration(seconds: float) -> str:
    """Returns seconds as people say them.

    >>> duration(42.4), duration(190), duration(7300)
    ('42 s', '3 min 10 s', '2 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
