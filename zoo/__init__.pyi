"""The public names of the zoo.

A method's line is its registration: the classes in it are what a checkpoint may name.
"""

from .base.drawer import Drawer as Drawer
from .base.from_nothing import paint as paint
from .base.painter import Painter as Painter
from .canvas_drawer import CanvasDrawer as CanvasDrawer, CanvasNetwork as CanvasNetwork, rooms as rooms
from .checkpoints import load as load, names as names
from .neural_painter import (
    NeuralPainterGAN as NeuralPainterGAN,
    NeuralPainterVAE as NeuralPainterVAE,
    PainterAgent as PainterAgent,
    stylize as stylize,
    visualize as visualize,
)
from .sara import SARA as SARA, NeuralRenderer as NeuralRenderer
from .sketch_rnn import SketchRNN as SketchRNN

__version__: str
__all__: list[str]
