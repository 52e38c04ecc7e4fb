"""Networks: the registry, starting weights, saving and explaining. Opens the one door to TensorFlow, when needed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
