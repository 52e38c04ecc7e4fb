"""Run folder in, pages out: self-contained, every value from a file escaped."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
