"""The checks that rubric.md can name."""

from __future__ import annotations

from collections.abc import Callable

from casestudy.grading.data_checks import corrupt_found, honest_split, nothing_lost
from casestudy.grading.evidence import Evidence
from casestudy.grading.findings import Finding
from casestudy.grading.result_checks import hidden_test, notebooks_ran, own_confusion_matrix, per_label, reproducible
from casestudy.grading.training_checks import gentle_fine_tuning, head_first, resnet_without_top

MANUAL = "manual"

CHECKS: dict[str, Callable[[Evidence], Finding]] = {
    check.__name__: check
    for check in (
        *(nothing_lost, corrupt_found, honest_split, resnet_without_top, head_first, gentle_fine_tuning),
        *(per_label, own_confusion_matrix, reproducible, notebooks_ran, hidden_test),
    )
}
