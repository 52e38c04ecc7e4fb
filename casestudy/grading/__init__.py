"""Submission, rubric and key in, grade out: no TensorFlow, and nobody's code is run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
