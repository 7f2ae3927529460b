"""Where images and strokes come from: Lightning data modules that download, check, split and batch."""

from datamodules.base import DataModule, Images
from datamodules.floorplans import FloorPlans, SyntheticFloorPlans
from datamodules.folder import ImageFolder
from datamodules.mnist import KMNIST, MNIST, ColoredMNIST
from datamodules.omniglot import Omniglot
from datamodules.pictures import CelebA, ImageNet
from datamodules.prisms import Prisms
from datamodules.sketches import Sketches
from datamodules.stored import StoredStrokes
from datamodules.strokes import Strokes
from datamodules.svhn import SVHN

__all__ = [
    "KMNIST",
    "MNIST",
    "SVHN",
    "CelebA",
    "ColoredMNIST",
    "DataModule",
    "FloorPlans",
    "ImageFolder",
    "ImageNet",
    "Images",
    "Omniglot",
    "Prisms",
    "Sketches",
    "StoredStrokes",
    "Strokes",
    "SyntheticFloorPlans",
]
