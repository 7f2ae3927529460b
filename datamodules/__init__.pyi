"""The public names of the data modules, each from its file, imported when first asked for."""

from .base import DataModule as DataModule, Images as Images
from .floorplans import FloorPlans as FloorPlans, SyntheticFloorPlans as SyntheticFloorPlans
from .folder import ImageFolder as ImageFolder
from .line_art import LineArt as LineArt
from .mnist import KMNIST as KMNIST, MNIST as MNIST, ColoredMNIST as ColoredMNIST
from .omniglot import Omniglot as Omniglot
from .pictures import CelebA as CelebA, ImageNet as ImageNet
from .prisms import Prisms as Prisms
from .sketches import Sketches as Sketches
from .stored import StoredStrokes as StoredStrokes
from .strokes import Strokes as Strokes
from .svhn import SVHN as SVHN

__all__: list[str]
