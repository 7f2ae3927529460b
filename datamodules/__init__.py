"""Where images and strokes come from: Lightning data modules that download, check, split and batch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
