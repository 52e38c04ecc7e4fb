"""letters.zip, folders and published sets in, an `ImageSet` and its `Splits` out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
