"""Numbers in, pictures out: every `plot_` function takes an `Axes` and returns it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
