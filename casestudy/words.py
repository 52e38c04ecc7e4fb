"""What is said to people: counts with their nouns, and the near word that may have been meant."""

from casestudy.cleaning.words import counted, did_you_mean

__all__ = ["counted", "did_you_mean"]
