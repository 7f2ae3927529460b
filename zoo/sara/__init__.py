"""SARA, also known as Learning to Paint (Huang, Heng & Zhou, 2019, arXiv:1903.04411)."""

from zoo.sara.renderer import NeuralRenderer
from zoo.sara.sara import SARA

__all__ = ["SARA", "NeuralRenderer"]
