"""Checkpoints: names, files and sums. No networks: a model's class is found by its registration, when it is built."""

from zoo.checkpoints.catalogue import names
from zoo.checkpoints.entry import CheckpointError, Entry
from zoo.checkpoints.loading import load, save

__all__ = ["CheckpointError", "Entry", "load", "names", "save"]
