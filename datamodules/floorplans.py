"""Floor plans and the types of their rooms (Canvas-Drawer §4.3): a folder of pairs, or plans made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import Dataset

import renderers
from datamodules.base import FIRST_SEED, DataModule, hold_out
from datamodules.files import DataError
from datamodules.folder import ENDINGS
from datamodules.image_files import open_image
from renderers import Box
from renderers.colour import colour_columns

ROOMS = {
    "outside": (0, 0, 0),
    "living room": (230, 120, 60),
    "bedroom": (80, 120, 220),
    "kitchen": (240, 220, 80),
    "bathroom": (80, 210, 200),
    "hall": (190, 190, 190),
}
"""Types of rooms and the colours, 0 to 255, that segmentations show them in."""
COLOURS = np.array(list(ROOMS.values()), np.int64)
TOLERANCE = 30  # how far, in the sum of three channels, a colour may lie from its type's
STRAY = 0.02  # share of pixels that may be of other colours: blurred borders
SMALL = 0.005  # share of a plan below which a part is not a room
MOST = 8  # rooms of a plan whose boxes a batch brings along
Room = tuple[int, Box]
"""The number of its type, and where it lies."""
Pair = tuple[Tensor, Tensor]
"""A plan (1, S, S) uint8, dark lines on white, and the number of each pixel's type in ROOMS, (S, S) int64."""


def boxes_in(types: np.ndarray) -> list[Room]:
    """The rooms of a segmentation: the box around each connected part of one type that is not ``outside``.

    Args:
        types: (H, W), the number in ROOMS of each pixel's type.
    """
    from skimage.measure import label  # which takes a while to import

    parts = label(types, background=0, connectivity=1)
    height, width = types.shape
    rooms = []
    for number in range(1, int(parts.max()) + 1):
        y, x = np.nonzero(parts == number)
        if len(y) >= SMALL * types.size:
            left, top, right, bottom = int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1
            rooms.append((int(types[y[0], x[0]]), (left / width, top / height, right / width, bottom / height)))
    return rooms


def room_types(image: Image.Image, path: Path) -> np.ndarray:
    """The types of the pixels of a segmentation.

    Args:
        image: of any mode, in the colours of ROOMS.
        path: what the error calls it.

    Returns:
        (H, W), numbers in ROOMS.

    Raises:
        DataError: more than STRAY of it has colours that no type has.
    """
    pixels = np.asarray(image.convert("RGB")).astype(np.int64)
    codes, where, counts = np.unique(pixels @ np.array([65536, 256, 1]), return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)
    distance = np.abs(colours[:, None] - COLOURS).sum(-1)
    strange = counts * (distance.min(1) > TOLERANCE)
    if strange.sum() > STRAY * counts.sum():
        red, green, blue = colours[strange.argmax()].tolist()
        known = ", ".join(f"{name} {colour}" for name, colour in ROOMS.items())
        raise DataError(
            f"{path} has rooms of the unknown colour ({red}, {green}, {blue}); recolour it with those known: {known}"
        )
    return distance.argmin(1)[where.reshape(-1)].reshape(pixels.shape[:2])


def scaled(plan: Image.Image, types: Image.Image, size: int) -> Pair:
    """A plan and the numbers of its pixels' types, scaled to a square whatever their aspect.

    Args:
        plan: of mode ``L``.
        types: of mode ``L``, numbers in ROOMS.
        size: S, pixels.
    """
    pixels = np.asarray(plan.resize((size, size), Image.Resampling.BOX))
    numbers = np.asarray(types.resize((size, size), Image.Resampling.NEAREST))
    return torch.from_numpy(pixels.copy())[None], torch.from_numpy(numbers.astype(np.int64))


class Pairs(Dataset[Pair]):
    """Plans and segmentations in files, decoded when asked for.

    Args:
        files: of each pair, the plan and the segmentation.
        size: S, pixels.
    """

    def __init__(self, files: list[tuple[Path, Path]], size: int):
        self.files, self.size = files, size
        self.names = [f"{plan.parent.name}/{plan.name}" for plan, _ in files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Pair:
        plan, rooms = (open_image(path).convert("RGB") for path in self.files[i])
        if plan.size != rooms.size:
            raise DataError(
                f"{self.files[i][0]} has {plan.width} × {plan.height} pixels and its segmentation {self.files[i][1]}"
                f" {rooms.width} × {rooms.height}; a pair needs the same size"
            )
        return scaled(
            plan.convert("L"), Image.fromarray(room_types(rooms, self.files[i][1]).astype(np.uint8)), self.size
        )


class FloorPlans(DataModule):
    """Plans and the types of their rooms: ``root/plans/NAME.png`` and, of the same size, ``root/rooms/NAME.png``.

    Plans are dark lines on white; the others show the rooms in the colours of ROOMS. Batches: image (B, 1, S, S),
    the plan as light lines on black; target (B, 3, S, S), its rooms; label (B, S, S), their numbers in ROOMS; palette
    (K, 3), the colours of ROOMS; in training also strokes, see :meth:`boxes`. Sorted by name, of every ten the first
    tests and the second validates; with fewer than ten, all are in every split.
    """

    licence = "the user's own"

    def split(self, name: str) -> Dataset[Pair]:
        folders = [self.root / "plans", self.root / "rooms"]
        plans, rooms = ({p.stem: p for p in sorted(f.glob("*")) if p.suffix.lower() in ENDINGS} for f in folders)
        if not plans:
            raise DataError(
                f"{folders[0]} holds no image; expected plans there,"
                f" and segmentations of the same names in {folders[1]}"
            )
        if alone := sorted(set(plans) ^ set(rooms)):
            raise DataError(
                f"{self.root}: {alone[0]} is only in one of the folders plans and rooms;"
                " every plan needs its segmentation"
            )
        files = [(plans[stem], rooms[stem]) for stem in plans]
        return Pairs(
            [files[i] for i in (hold_out(len(files), name) if len(files) >= 10 else range(len(files)))], self.side
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        plan, types = batch
        ready = super().on_after_batch_transfer((255 - plan, types), dataloader_idx)
        palette = torch.tensor(COLOURS, device=plan.device) / 255
        ready |= {"target": palette[types].movedim(-1, 1), "palette": palette}
        return ready | {"strokes": self.boxes(types, palette)} if self.learning else ready

    def boxes(self, types: Tensor, palette: Tensor) -> Tensor:
        """The boxes around the rooms, in the order in which one reads; then empty ones of the colour of outside.

        Args:
            types: segmentations (B, S, S), numbers in ROOMS.
            palette: the colours of ROOMS (K, 3), in [0, 1].

        Returns:
            Strokes (B, MOST, 7) of ``rectangle-lab``; of more than MOST rooms, the largest.
        """
        actions = renderers.get("rectangle-lab").actions
        strokes = torch.zeros(len(types), MOST, 7, device=types.device)
        strokes[..., 4:] = colour_columns(actions, palette[0])
        colours = colour_columns(actions, palette).clamp(0, 1)
        for rows, plan in zip(strokes, types.cpu().numpy(), strict=True):
            largest = sorted(boxes_in(plan), key=lambda room: -(room[1][2] - room[1][0]) * (room[1][3] - room[1][1]))
            in_order = sorted(largest[:MOST], key=lambda room: (room[1][1], room[1][0]))
            for row, (kind, box) in zip(rows, in_order, strict=False):
                row[:] = torch.cat([row.new_tensor(box), colours[kind]])
        return strokes


class MadePlans(Dataset[Pair]):
    """Plans of 3 to 7 rooms, made from their seeds: walls, doors, furniture that tells the type, and clutter like text.

    Args:
        first: the first plan's seed.
        n: how many plans.
        size: S, pixels.
    """

    def __init__(self, first: int, n: int, size: int):
        self.first, self.n, self.size = first, n, size

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Pair:
        return scaled(*make_plan(np.random.default_rng(self.first + i)), self.size)


class SyntheticFloorPlans(FloorPlans):
    """Floor plans made here, and their segmentations: batches as of :class:`FloorPlans`.

    Args:
        train: plans to train on; a tenth as many validate, and 1,000 test.
    """

    licence = "none needed"

    def __init__(self, train: int = 50_000, **kwargs: Any):
        super().__init__(**kwargs)
        if train < 10:
            raise ValueError(f"SyntheticFloorPlans: train is {train}; expected at least 10")
        self.train = train

    def split(self, name: str) -> Dataset[Pair]:
        n = {"train": self.train, "val": self.train // 10, "test": 1000}[name]
        return MadePlans(FIRST_SEED[name], n, self.side)


DRAWN = 128  # pixels of the side of a plan as it is made
LEAST = 26  # pixels of the shorter side of a room
Rect = tuple[int, int, int, int]


def make_plan(rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A plan (L, dark on white) and the numbers in ROOMS of its pixels (L), DRAWN² both."""
    plan, rooms = Image.new("L", (DRAWN, DRAWN), 255), Image.new("L", (DRAWN, DRAWN))
    pen, brush = ImageDraw.Draw(plan), ImageDraw.Draw(rooms)
    left, top, right, bottom = (int(v) for v in rng.integers(4, 20, 4))
    boxes = [(left, top, DRAWN - right, DRAWN - bottom)]
    for _ in range(int(rng.integers(2, 7))):  # walls
        k = int(np.argmax([(x1 - x0) * (y1 - y0) * rng.uniform(0.5, 1) for x0, y0, x1, y1 in boxes]))
        x0, y0, x1, y1 = boxes[k]
        across = (x1 - x0) * rng.uniform(0.7, 1.4) > y1 - y0
        low, high = (x0, x1) if across else (y0, y1)
        if high - low < 2 * LEAST:
            continue
        at = int(rng.integers(low + LEAST, high - LEAST + 1))
        boxes[k] = (x0, y0, at, y1) if across else (x0, y0, x1, at)
        boxes.append((at, y0, x1, y1) if across else (x0, at, x1, y1))
    order = sorted(boxes, key=lambda r: -(r[2] - r[0]) * (r[3] - r[1]))
    types: list[int] = []
    for i, (x0, y0, x1, y1) in enumerate(order):  # the largest is the living room; neighbours differ, if they can
        near = {types[k] for k, (a, b, c, d) in enumerate(order[:i]) if a <= x1 and x0 <= c and b <= y1 and y0 <= d}
        types.append(int(rng.choice(sorted({2, 3, 4, 5} - near) or [2, 3, 4, 5])) if i else 1)
    for room, kind in zip(order, types, strict=True):
        brush.rectangle((room[0], room[1], room[2] - 1, room[3] - 1), fill=kind)
        furnish(pen, room, kind, rng)
    for room in order:
        pen.rectangle((room[0] - 1, room[1] - 1, room[2], room[3]), outline=0, width=3)
    for room in order:
        door(pen, room, rng)
    for _ in range(int(rng.integers(2, 6))):  # clutter
        words(pen, int(rng.integers(0, DRAWN - 20)), int(rng.integers(0, DRAWN - 4)), rng)
    return plan, rooms


def door(pen: ImageDraw.ImageDraw, room: Rect, rng: np.random.Generator) -> None:
    """A gap in one of a room's walls, and the quarter circle of its leaf."""
    x0, y0, x1, y1 = room
    size = 10
    if rng.random() < 0.5:
        x, y = int(rng.integers(x0 + 4, x1 - size - 4)), int(rng.choice([y0, y1]))
        pen.rectangle((x, y - 2, x + size, y + 2), fill=255)
        pen.arc((x - size, y - size, x + size, y + size), 0, 90, fill=90)
    else:
        x, y = int(rng.choice([x0, x1])), int(rng.integers(y0 + 4, y1 - size - 4))
        pen.rectangle((x - 2, y, x + 2, y + size), fill=255)
        pen.arc((x - size, y - size, x + size, y + size), 0, 90, fill=90)


def words(pen: ImageDraw.ImageDraw, x: int, y: int, rng: np.random.Generator) -> None:
    """Something like a line of small print."""
    for _ in range(int(rng.integers(3, 8))):
        w = int(rng.integers(1, 4))
        pen.rectangle((x, y + int(rng.integers(0, 2)), x + w - 1, y + 3), outline=int(rng.integers(60, 160)))
        x += w + 1


def furnish(pen: ImageDraw.ImageDraw, room: Rect, kind: int, rng: np.random.Generator) -> None:
    """What tells a room's type: a sofa and its table, a bed with pillows, a stove, a tub; a hall stays empty."""
    x0, y0, x1, y1 = room
    x, y = int(rng.integers(x0 + 4, max(x0 + 5, x1 - 20))), int(rng.integers(y0 + 4, max(y0 + 5, y1 - 18)))
    name = list(ROOMS)[kind]
    if name == "living room":
        pen.rectangle((x, y, x + 16, y + 5), outline=0)
        pen.ellipse((x + 4, y + 8, x + 12, y + 14), outline=0)
    elif name == "bedroom":
        pen.rectangle((x, y, x + 14, y + 16), outline=0)
        for k in (2, 8):
            pen.rectangle((x + k, y + 2, x + k + 4, y + 5), fill=60)
    elif name == "kitchen":
        pen.rectangle((x, y, x + 14, y + 14), outline=0)
        for a in (1, 8):
            for b in (1, 8):
                pen.ellipse((x + a, y + b, x + a + 5, y + b + 5), outline=0)
    elif name == "bathroom":
        pen.rectangle((x, y, x + 8, y + 16), fill=120)
        pen.ellipse((x + 1, y + 1, x + 7, y + 15), fill=255)
