"""A Neural Representation of Sketch Drawings (Ha and Eck, 2017)."""

from zoo.sketch_rnn.sketch_rnn import SketchRNN

__all__ = ["SketchRNN"]
