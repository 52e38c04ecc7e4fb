"""A model and its phases: frozen parts computed once, and a killed training goes on where it stopped."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
