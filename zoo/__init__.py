"""Drawing with strokes: trained models that turn pixels into strokes.

>>> import zoo
>>> drawing = zoo.load("canvas-drawer-mnist").draw("digit.png")
>>> drawing.save("digit.svg")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "SARA",
    "CanvasDrawer",
    "CanvasNetwork",
    "Drawer",
    "NeuralPainterGAN",
    "NeuralPainterVAE",
    "NeuralRenderer",
    "Painter",
    "PainterAgent",
    "SketchRNN",
    "load",
    "names",
    "rooms",
    "stylize",
    "visualize",
]

if TYPE_CHECKING:
    from zoo.canvas_drawer import CanvasDrawer, CanvasNetwork
    from zoo.canvas_drawer.translation import rooms
    from zoo.checkpoints import load, names
    from zoo.drawer import Drawer
    from zoo.neural_painter import NeuralPainterGAN, NeuralPainterVAE, PainterAgent
    from zoo.neural_painter.paintings import stylize, visualize
    from zoo.painter import Painter
    from zoo.sara import SARA, NeuralRenderer
    from zoo.sketch_rnn import SketchRNN

_homes = {  # what `zoo.X` is, and the module it is imported from when first asked for: `import zoo` itself imports nothing
    "load": "zoo.checkpoints",
    "names": "zoo.checkpoints",
    "Drawer": "zoo.drawer",
    "Painter": "zoo.painter",
    "CanvasDrawer": "zoo.canvas_drawer",
    "CanvasNetwork": "zoo.canvas_drawer",
    "rooms": "zoo.canvas_drawer.translation",
    "NeuralRenderer": "zoo.sara",
    "SARA": "zoo.sara",
    "NeuralPainterGAN": "zoo.neural_painter",
    "NeuralPainterVAE": "zoo.neural_painter",
    "PainterAgent": "zoo.neural_painter",
    "stylize": "zoo.neural_painter.paintings",
    "visualize": "zoo.neural_painter.paintings",
    "SketchRNN": "zoo.sketch_rnn",
}


def __getattr__(name: str) -> Any:
    if name not in _homes:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_homes[name]), name)


def __dir__() -> list[str]:
    return __all__
