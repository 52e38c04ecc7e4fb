"""`python -m casestudy`."""

from casestudy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
