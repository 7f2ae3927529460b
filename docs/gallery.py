"""The gallery: what each model draws, good and bad, from its own weights: ``python docs/gallery.py --out gallery``.

A drawer redraws images of its test set where the data is at hand (``$ZOO_DATA``, or made from seeds), and stand-ins
where it is not; they are ordered by their error. A painter paints random strokes beside the renderer that it imitates,
ordered too. Of a model that invents, samples are shown as they come. A picture is made anew when its weights are.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import skimage
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

import renderers
from datamodules.base import resize
from datamodules.files import DataError
from datamodules.lines import line_art
from renderers import Drawing, libmypaint
from renderers.export.png import to_image
from zoo.base.drawer import Drawer
from zoo.base.images import read
from zoo.checkpoints import Entry, load
from zoo.checkpoints.catalogue import entries
from zoo.neural_painter.agent import DEMONSTRATIONS
from zoo.publishing.showcase import column
from zoo.training.evaluate import data_module

SHOWN, OF = 8, 64  # pictures, out of so many
SAMPLED = 16
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")  # of scikit-image


def has_mypaint() -> bool:
    """Whether the real MyPaint is at hand."""
    try:
        libmypaint.library()
    except libmypaint.MyPaintError:
        return False
    return True


def photograph(name: str, channels: int, size: int) -> Tensor:
    """The middle of a photograph of scikit-image, (1, channels, size, size)."""
    pixels = read(Path(skimage.__file__).parent / "data" / name, channels)
    side = min(pixels.shape[-2:])
    top, left = ((length - side) // 2 for length in pixels.shape[-2:])
    return resize(pixels[..., top : top + side, left : left + side], size)


def digits(size: int) -> Tensor:
    """The ten digits that the painting agents are shown, as light ink on dark, (10, 1, size, size)."""
    drawings = [Drawing.load(DEMONSTRATIONS / f"{digit}.json").to("bezier") for digit in range(10)]
    return torch.stack([drawing.render(size) for drawing in drawings])


def test_images(data: dict[str, Any]) -> Iterable[dict[str, Tensor]]:
    """The first images of a test set, one to a batch, as models are tested with. DataError if it is not at hand."""
    module = data_module(data | {"batch_size": 1})
    module.setup("test")
    for i, batch in enumerate(module.test_dataloader()):
        if i == OF:
            return
        yield module.on_after_batch_transfer(batch, 0)


def stand_ins(model: Any, data: dict[str, Any]) -> Iterable[dict[str, Tensor]]:
    """Images of a similar kind, for models whose test set is not at hand."""
    size = data["image_size"]
    if data["class"] in ("CelebA", "ImageNet"):
        photographs = (photograph(name, model.channels, size) for name in PHOTOGRAPHS)
        return ({"image": line_art(image) if data.get("lines") else image} for image in photographs)
    light = digits(size)
    return ({"image": 1 - image[None] if data.get("invert") else image[None]} for image in light)


@torch.no_grad()
def redrawn(model: Any, batches: Iterable[dict[str, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Images (C, H, W), each with the model's drawing: on the renderer itself or, without MyPaint, its painter."""
    pairs = []
    for batch in batches:
        target = batch.get("target", batch["image"])
        if model.exact.name.startswith("mypaint") and not has_mypaint():
            drawn = model.painter.render(model.strokes(batch["image"]).float(), target.shape[-1])
        else:
            drawn = model.redrawn(batch["image"], tuple(target.shape[-2:]))[1]
        pairs.append((target[0].expand_as(drawn[0]), drawn[0]))
    return pairs


@torch.no_grad()
def repainted(model: Any) -> list[tuple[Tensor, Tensor]]:
    """Random strokes, each on the renderer that a painter imitates, and on the painter."""
    strokes = model.actions.random(OF, 1, generator=torch.Generator().manual_seed(0))
    return list(zip(model.imitates.render(strokes, 64), model.render(strokes, 64), strict=True))


def chosen(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """As many as are shown, from the least error to the largest, at equal distances in that order."""
    ordered = sorted(pairs, key=lambda pair: float((pair[0] - pair[1]).square().mean()))
    places = torch.linspace(0, len(ordered) - 1, min(SHOWN, len(ordered))).round().int()
    return [ordered[i] for i in places]


def picture(entry: Entry) -> tuple[Image.Image, str]:
    """What a model draws, and what there is to be seen."""
    model: Any = load(entry.name)
    if hasattr(model, "sample"):
        samples = model.sample(SAMPLED, generator=torch.Generator().manual_seed(0))
        sheet = to_image(renderers.grid(samples, SAMPLED // 2).render(832))
        return sheet, f"{SAMPLED} samples of seed 0, as they came."
    order = "from the least error to the largest"
    if not isinstance(model, Drawer):
        if model.name.startswith("mypaint") and not has_mypaint():
            canvas = model.render(model.actions.random(SHOWN, 1, generator=torch.Generator().manual_seed(0)), 96)
            return to_image(torch.cat([column(None, one) for one in canvas], 2)), "Random strokes, on the painter."
        pairs, what = repainted(model), f"{OF} random strokes, {SHOWN} of them {order}: the renderer's, the painter's."
    else:
        data = entry.metrics[0]["data"]
        try:
            pairs = redrawn(model, test_images(data))
            what = f"{entry.metrics[0]['dataset']}: {min(SHOWN, len(pairs))} of {len(pairs)} test images, {order}."
        except DataError:
            pairs = redrawn(model, stand_ins(model, data))
            what = f"Its test images are not at hand here: {min(SHOWN, len(pairs))} of {len(pairs)} others, {order}."
    return to_image(torch.cat([column(goal, drawn) for goal, drawn in chosen(pairs)], 2)), what


def key(entry: Entry) -> str:
    """Changes with what a picture follows from."""
    of = (
        entry.weights["sha256"],
        Path(__file__).read_text(encoding="utf-8"),
        os.environ.get("ZOO_DATA"),
        has_mypaint(),
    )
    return hashlib.sha256(repr(of).encode()).hexdigest()[:8]


def write(folder: Path, names: Iterable[str] = ()) -> dict[str, tuple[Path, str]]:
    """Make the pictures that are missing, and remove old ones.

    Args:
        folder: Where to.
        names: Of the models; empty for all that come with the package.

    Returns:
        By the model's name, the picture's file and what there is to be seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name in names or entries():
        entry = entries()[name]
        path = folder / f"{name}-{key(entry)}.png"
        if not path.exists():
            for old in folder.glob(f"{name}-????????.png"):
                old.unlink()
            image, what = picture(entry)
            about = PngImagePlugin.PngInfo()
            about.add_text("what", what)
            image.save(path, pnginfo=about, optimize=True)
            print(f"{path}: {what}")
        with Image.open(path) as image:
            made[name] = path, image.text["what"]
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of `zoo list`; all if none is given")
    parser.add_argument("--out", type=Path, default=Path("gallery"), help="folder of the pictures")
    args = parser.parse_args()
    write(args.out, args.names)
