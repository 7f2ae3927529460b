"""Neural Painters (Nakano, 2019, arXiv:1904.08410)."""

from zoo.neural_painter.agent import PainterAgent
from zoo.neural_painter.painters import NeuralPainterGAN, NeuralPainterVAE

__all__ = ["NeuralPainterGAN", "NeuralPainterVAE", "PainterAgent"]
