"""The public names of the data modules, each from its file, imported when first asked for."""

from .base import DataModule as DataModule
from .base import Images as Images
from .floorplans import FloorPlans as FloorPlans
from .floorplans import SyntheticFloorPlans as SyntheticFloorPlans
from .folder import ImageFolder as ImageFolder
from .mnist import KMNIST as KMNIST
from .mnist import MNIST as MNIST
from .mnist import ColoredMNIST as ColoredMNIST
from .omniglot import Omniglot as Omniglot
from .pictures import CelebA as CelebA
from .pictures import ImageNet as ImageNet
from .prisms import Prisms as Prisms
from .sketches import Sketches as Sketches
from .stored import StoredStrokes as StoredStrokes
from .strokes import Strokes as Strokes
from .svhn import SVHN as SVHN

__all__: list[str]
