"""Image classifiers to optimise paintings for (§5): SqueezeNet 1.1, or any module from pictures to 1,000 scores."""

from __future__ import annotations

import importlib.util
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from datamodules.files import DataError, Remote, data_root, download
from renderers import nearest

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's classifiers expect (picture - MEAN) / STD
ADDRESS = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
SHA256 = "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"
LARGEST = 16 << 20  # bytes of its weights
CONTENT = "features.7"  # of SqueezeNet: the middle of its layers
UNREADABLE = (OSError, RuntimeError, ValueError, TypeError, AttributeError, EOFError, SafetensorError, UnpicklingError)


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1 × 1 and 3 × 3 convolutions (Iandola et al., 2016).

    Args:
        channels: Of the input.
        squeeze: Between the two.
        expand: Of each of the two convolutions, which are concatenated.
    """

    def __init__(self, channels: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1, with torchvision's parameter names: normalised pictures (B, 3, H, W) to scores (B, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        fires = [Fire(i, s, e) for i, s, e in ((64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128))]
        fires += [Fire(i, s, e) for i, s, e in ((256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256))]
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool, *fires[:2], pool, *fires[2:4], pool, *fires[4:]
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


class Scaled(nn.Module):
    """A classifier that sees pictures of ``side`` pixels only: another opinion where no second network is at hand.

    Args:
        model: The classifier.
        side: Pixels, 16 to 224.

    Raises:
        ValueError: For another side.
    """

    def __init__(self, model: nn.Module, side: int):
        super().__init__()
        if not 16 <= side <= 224:
            raise ValueError(f"a classifier that sees pictures of {side} pixels; expected 16 to 224")
        self.model, self.side = model, side

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores (B, 1000) of normalised pictures (B, 3, H, W)."""
        small = F.interpolate(pictures, (self.side, self.side), mode="bilinear", antialias=True)
        return self.model(F.interpolate(small, pictures.shape[-2:], mode="bilinear"))


def squeezenet() -> SqueezeNet:
    """SqueezeNet with its published weights, frozen.

    They are ``classifiers/squeezenet1_1.safetensors`` of the data folder, or the official file, downloaded and checked.

    Raises:
        DataError: Where neither is to be had, or the file does not fit.
    """
    folder = data_root() / "classifiers"
    ours, official = folder / "squeezenet1_1.safetensors", folder / ADDRESS.rsplit("/", 1)[-1]
    model = SqueezeNet()
    path = ours if ours.is_file() else official
    try:
        if path == official:
            fetch_official(official)
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        state = load_file(path) if path == ours else torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state, strict=True)
    except DataError:
        raise
    except UNREADABLE as e:
        raise DataError(
            f"{path} does not hold the weights of SqueezeNet 1.1 ({e}). Delete it, and they are downloaded anew."
        ) from e
    return model.eval().requires_grad_(False)


def fetch_official(path: Path) -> None:
    """torchvision's file; its size is asked of the server, its sum is known."""
    if path.is_file():
        return
    try:
        with urllib.request.urlopen(urllib.request.Request(ADDRESS, method="HEAD"), timeout=30) as reply:
            size = int(reply.headers["Content-Length"])
    except (OSError, urllib.error.URLError, TypeError, ValueError) as e:
        raise DataError(
            f"could not download {ADDRESS}: {e}. Try again later, or put the file at {path} yourself."
        ) from e
    if size > LARGEST:
        raise DataError(f"{ADDRESS} has {size} bytes now; expected at most {LARGEST}")
    download(Remote((ADDRESS,), size, SHA256), path)


def classifier(which: str | nn.Module) -> nn.Module:
    """A classifier, frozen and checked.

    Args:
        which: ``squeezenet1_1``, or a name of torchvision's where that is installed; or any module. With ``@112`` after
            a name it sees pictures of 112² only (:class:`Scaled`).

    Raises:
        ValueError: For an unknown name, or a module that does not turn pictures into 1,000 scores.
    """
    if isinstance(which, str) and "@" in which:
        name, _, side = which.partition("@")
        if not side.isdecimal():
            raise ValueError(f"{which!r} is not NAME@PIXELS, such as squeezenet1_1@112")
        return Scaled(classifier(name), int(side)).eval()
    if isinstance(which, nn.Module):
        model = which.eval()
    elif which == "squeezenet1_1":
        return squeezenet()
    elif importlib.util.find_spec("torchvision") is None:
        raise ValueError(
            f"no classifier {which!r}: there is squeezenet1_1; torchvision's others need it: pip install torchvision"
        )
    else:
        import torchvision  # type: ignore[import-not-found]

        model = torchvision.models.get_model(which, weights="DEFAULT").eval()
    with torch.no_grad():
        scores = model(torch.zeros(1, 3, 224, 224, device=next(iter(model.parameters()), torch.zeros(1)).device))
    if not isinstance(scores, Tensor) or scores.shape != (1, len(labels())):
        got = f"{tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(
            f"a classifier turns pictures (B, 3, 224, 224) into scores (B, {len(labels())});"
            f" {type(model).__name__} gave {got}"
        )
    return model.requires_grad_(False)


def normalised(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] as classifiers expect them."""
    mean, std = (torch.tensor(v, device=pictures.device).view(3, 1, 1) for v in (MEAN, STD))
    return (pictures - mean) / std


class Features:
    """The output of one layer of a classifier.

    Args:
        model: The classifier.
        layer: The layer's name.

    Raises:
        ValueError: With the nearest name, if there is no such layer.
    """

    def __init__(self, model: nn.Module, layer: str):
        layers = dict(model.named_modules())
        if layer not in layers:
            raise ValueError(f"{type(model).__name__} has no layer {layer!r}{nearest(layer, layers, 0.3)}")
        self.model = model
        self.seen: list[Tensor] = []
        layers[layer].register_forward_hook(lambda _module, _inputs, output: self.seen.append(output))

    def __call__(self, pictures: Tensor) -> Tensor:
        """The layer's output for pictures (B, 3, H, W) in [0, 1]."""
        self.seen.clear()
        self.model(normalised(pictures))
        return self.seen.pop()


@cache
def labels() -> list[str]:
    """The 1,000 classes of ImageNet, in the usual order, in lower case with spaces."""
    return (Path(__file__).parent / "imagenet_classes.txt").read_text(encoding="utf-8").splitlines()


def class_number(name: str | int) -> int:
    """The number of an ImageNet class, given by its name or its number.

    Raises:
        ValueError: With the nearest name, if there is no such class.
    """
    if isinstance(name, int) or name.isdigit():
        if not 0 <= int(name) < len(labels()):
            raise ValueError(f"ImageNet has the classes 0 to {len(labels()) - 1}, not {name}")
        return int(name)
    wanted = name.lower().replace("_", " ").strip()
    if wanted not in labels():
        raise ValueError(f"ImageNet has no class {name!r}{nearest(wanted, labels(), 0.4)}")
    return labels().index(wanted)


@torch.no_grad()
def judge(model: nn.Module, picture: Tensor, classes: Sequence[int]) -> list[dict[str, Any]]:
    """What a classifier sees in a picture.

    Args:
        model: The classifier.
        picture: (3, H, W) in [0, 1]; it is scaled to 224².
        classes: Numbers of those asked for.

    Returns:
        For each its name, ``class``; its probability, ``p``; and its ``rank``, 1 for the likeliest.
    """
    device = next(iter(model.parameters()), picture).device
    square = F.interpolate(picture[None].to(device), (224, 224), mode="bilinear", antialias=True)
    p = model(normalised(square)).softmax(1)[0]
    return [{"class": labels()[k], "p": float(p[k]), "rank": 1 + int((p > p[k]).sum())} for k in classes]
