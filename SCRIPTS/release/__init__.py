"""A package, so that run.py and test.py find it before any other `release` that the user's Python has."""
