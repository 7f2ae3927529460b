"""The public names of the zoo. A method's line is its registration: the classes in it are what a checkpoint may name."""

from .base.drawer import Drawer as Drawer
from .base.painter import Painter as Painter
from .canvas_drawer import CanvasDrawer as CanvasDrawer
from .canvas_drawer import CanvasNetwork as CanvasNetwork
from .canvas_drawer import rooms as rooms
from .checkpoints import load as load
from .checkpoints import names as names
from .neural_painter import (
    NeuralPainterGAN as NeuralPainterGAN,
)
from .neural_painter import (
    NeuralPainterVAE as NeuralPainterVAE,
)
from .neural_painter import (
    PainterAgent as PainterAgent,
)
from .neural_painter import (
    stylize as stylize,
)
from .neural_painter import (
    visualize as visualize,
)
from .sara import SARA as SARA
from .sara import NeuralRenderer as NeuralRenderer
from .sketch_rnn import SketchRNN as SketchRNN

__version__: str
__all__: list[str]
