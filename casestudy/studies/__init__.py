"""The studies: one file each, every number with its reason; what to expect stands at the top of each.

To add one, write a file with a `Study` and name it here; the pipeline, the report and the command line pick it up.
"""

from casestudy.studies.asl import ASL
from casestudy.studies.asl_original import ASL_ORIGINAL
from casestudy.studies.claims import CLAIMS, Claim, Verdict
from casestudy.studies.clothes import CLOTHES
from casestudy.studies.dense_baseline import DENSE_BASELINE
from casestudy.studies.emnist import EMNIST
from casestudy.studies.fashion_mnist import FASHION_MNIST
from casestudy.studies.licence_plates import LICENCE_PLATES
from casestudy.studies.own import find_study
from casestudy.study import Study

# By name, as `CLAIMS`, and so is every list of them.
STUDIES: dict[str, Study] = {
    study.name: study for study in (ASL, ASL_ORIGINAL, CLOTHES, DENSE_BASELINE, EMNIST, FASHION_MNIST, LICENCE_PLATES)
}

__all__ = ["CLAIMS", "STUDIES", "Claim", "Verdict", "find_study"]
