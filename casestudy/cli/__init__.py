"""The command line: parse, call one function, print."""

from casestudy.cli.commands import main

__all__ = ["main"]
