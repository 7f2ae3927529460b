"""Drawing with strokes: trained models that turn pixels into strokes.

>>> import zoo
>>> drawing = zoo.load("canvas-drawer-mnist").draw("digit.png")
>>> drawing.save("digit.svg")

The public names are listed in ``__init__.pyi`` and imported when first asked for, so that ``import zoo`` is instant.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
