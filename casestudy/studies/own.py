"""Finds a study: one of these by its name, or a reader's own in a Python file."""

from __future__ import annotations

import runpy
import traceback
from pathlib import Path

from casestudy.errors import CaseStudyError, DataError
from casestudy.records import not_one_of
from casestudy.study import Study

NEW = "`casestudy new NAME DATA` writes one."


def find_study(name: str) -> Study:
    """Returns the study of a name, or the one that a Python file makes.

    The file is run: it is one that the caller named, never one that a run folder names.

    Raises:
        DataError: There is no such study or file, or the file does not make one study with a name of its own.
    """
    from casestudy.studies import STUDIES  # only now: this file is part of it

    if not name.endswith(".py"):
        if name not in STUDIES:
            raise not_one_of("The study", name, STUDIES)
        return STUDIES[name]
    path = Path(name)
    if not path.is_file():
        raise DataError(f"A study of your own is a Python file; {path} is not there. Check its path; {NEW}")
    try:
        made = runpy.run_path(str(path)).values()
    except CaseStudyError:
        raise  # of a study that checks itself: one line already
    except (Exception, SystemExit) as error:  # whatever a reader's own file may raise
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno for step in steps if step.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
        said = " ".join(str(error).split())
        raise DataError(
            f"A study file must run; line {line} of {path} says {type(error).__name__}: {said}. Mend it."
        ) from None
    found = {id(one): one for one in made if isinstance(one, Study) and one not in STUDIES.values()}
    if len(found) != 1:
        raise DataError(f"A study file makes one study; {path} makes {len(found)}. Leave one; {NEW}")
    (study,) = found.values()
    if study.name in STUDIES:
        raise DataError(f"A study of your own has a name of its own; {path} has {study.name!r}, of ours. Change it.")
    return study
