"""The checks that rubric.md can name: each holds one thing in a submission against the key, or against its own data."""

from __future__ import annotations

from casestudy.grading.checks_of_data import corrupt_found, honest_split, nothing_lost
from casestudy.grading.checks_of_results import (
    hidden_test,
    notebooks_ran,
    own_confusion_matrix,
    per_label,
    reproducible,
)
from casestudy.grading.checks_of_training import gentle_fine_tuning, head_first, resnet_without_top

MANUAL = "manual"
_DATA = (nothing_lost, corrupt_found, honest_split)
_TRAINING = (resnet_without_top, head_first, gentle_fine_tuning)
_RESULTS = (per_label, own_confusion_matrix, reproducible, notebooks_ran, hidden_test)
CHECKS = {check.__name__: check for check in (*_DATA, *_TRAINING, *_RESULTS)}
