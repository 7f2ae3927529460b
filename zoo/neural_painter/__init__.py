"""Neural Painters (Nakano, 2019, arXiv:1904.08410)."""

from zoo.neural_painter.agent import PainterAgent
from zoo.neural_painter.painters import NeuralPainterGAN, NeuralPainterVAE
from zoo.neural_painter.paintings import stylize, visualize

__all__ = ["NeuralPainterGAN", "NeuralPainterVAE", "PainterAgent", "stylize", "visualize"]
