"""Sets up the environment and runs the case study on the embedded sample: `python SCRIPTS/run.py`.

Arguments are passed on to `casestudy run asl`: `python SCRIPTS/run.py --quick --seed 1`.
"""

import sys

from release.environment import run_in_environment

if __name__ == "__main__":
    run_in_environment("casestudy", "run", "asl", *sys.argv[1:])
