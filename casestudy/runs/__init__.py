"""The run folder, its record, the steps that fill it, and what holds it against itself."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
