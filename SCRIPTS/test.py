"""Sets up the environment and runs all tests: `python SCRIPTS/test.py`.

Arguments are passed on to pytest, which runs in the project's folder: `python SCRIPTS/test.py -x tests/test_splits.py`.
"""

import sys

from release.environment import ROOT, run_in_environment

if __name__ == "__main__":
    run_in_environment("pytest", *sys.argv[1:], cwd=ROOT)
