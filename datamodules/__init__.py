"""Where images and strokes come from: Lightning data modules that download, check, split and batch."""

from datamodules.base import DataModule, Images
from datamodules.folder import ImageFolder
from datamodules.mnist import KMNIST, MNIST
from datamodules.omniglot import Omniglot
from datamodules.pictures import CelebA, ImageNet
from datamodules.sketches import Sketches
from datamodules.stored import StoredStrokes
from datamodules.strokes import Strokes
from datamodules.svhn import SVHN

__all__ = [
    "KMNIST",
    "MNIST",
    "SVHN",
    "CelebA",
    "DataModule",
    "ImageFolder",
    "ImageNet",
    "Images",
    "Omniglot",
    "Sketches",
    "StoredStrokes",
    "Strokes",
]
