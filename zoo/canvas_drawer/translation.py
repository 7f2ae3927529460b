"""What drawings of another kind than their image mean, and how right they are (§4.3, §4.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

import renderers
from datamodules.floorplans import COLOURS, ROOMS, SMALL, Room, boxes_in
from renderers import ActionSpace, Box, Drawing
from renderers.colour import colours, rgb_to_lab

CORE = 0.9  # of the brightest: the middle of a line, without its edges
GRID = 64  # cells along a plan's sides, on which boxes are compared


def nearest(rgb: Tensor, palette: Tensor) -> Tensor:
    """The number (...,) of the colour of a palette (K, 3) that is nearest in L*a*b* to colours (..., 3) in sRGB."""
    return torch.cdist(rgb_to_lab(rgb).reshape(-1, 3), rgb_to_lab(palette)).argmin(-1).view(rgb.shape[:-1])


class ClassColours(Metric):
    """``class_colour``: the share of drawings whose colour is nearest to that of their label in the palette.

    The colour is the mean of the pixels almost as bright as the brightest: at the edges of a line colour fades into the
    paper, so that with them a pale digit in the right colour may be nearest to a darker one. A drawing of nothing is
    wrong.
    """

    right: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("right", "seen"):
            self.add_state(name, torch.tensor(0.0), "sum")

    def update(self, strokes: Tensor, drawn: Tensor, batch: dict[str, Tensor], actions: ActionSpace) -> None:
        bright = drawn.amax(1)
        most = bright.amax((1, 2), keepdim=True)
        core = (bright >= CORE * most)[:, None]
        colour = (drawn * core).sum((2, 3)) / core.sum((2, 3))
        right = (nearest(colour, batch["palette"]) == batch["label"]) & (most.flatten() > 0.1)
        self.right += right.sum()
        self.seen += len(right)

    def compute(self) -> dict[str, Tensor]:
        return {"class_colour": self.right / self.seen}


def boxes_of(strokes: Tensor, actions: ActionSpace, palette: Tensor) -> list[Room]:
    """The rooms that rectangles stand for: those that are not ``outside``, and of which at least half can be seen.

    Args:
        strokes: (T, A).
        actions: Their columns.
        palette: The colours (K, 3) of the types of rooms, first that of ``outside``.

    Returns:
        Each one's type, the one whose colour is nearest, and its box, in painting order.
    """
    kinds = nearest(colours(actions, strokes), palette).tolist()
    corners = actions.select(strokes, "x0 y0 x1 y1").view(-1, 2, 2)
    low, high = corners.amin(1), corners.amax(1)
    at = (torch.arange(GRID, device=strokes.device) + 0.5) / GRID
    owner = torch.full((GRID, GRID), -1, device=strokes.device)
    inside = [
        ((at > a[1]) & (at < b[1]))[:, None] & ((at > a[0]) & (at < b[0])) for a, b in zip(low, high, strict=True)
    ]
    for i, cells in enumerate(inside):
        owner[cells] = i
    found = []
    for i, (kind, cells) in enumerate(zip(kinds, inside, strict=True)):
        seen = int((owner == i).sum())
        if kind and seen >= SMALL * GRID**2 and 2 * seen >= int(cells.sum()):
            (x0, y0), (x1, y1) = low[i].tolist(), high[i].tolist()
            found.append((kind, (x0, y0, x1, y1)))
    return found


def paired(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pairing, one to one, whose cost is the least in all."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return rows, columns


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / max((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both, 1e-9)


def hits(found: list[Room], there: list[Room], least: float = 0.5) -> int:
    """How many boxes found can be paired, one to one, with boxes that are there.

    Args:
        found: Types and boxes.
        there: The true ones. A pair has the same type.
        least: A pair's least intersection over union.
    """
    if not (found and there):
        return 0
    match = np.array([[kind == other and overlap(box, its) >= least for other, its in there] for kind, box in found])
    return int(match[paired(1.0 - match)].sum())


class RoomBoxes(Metric):
    """``iou_TYPE``: intersection over union of the pixels of a room type, over all plans; ``iou``: the mean of them.

    The type of a pixel drawn is that of the nearest colour. ``box_precision``, ``box_recall``: of the rectangles as
    rooms, see :func:`hits`.
    """

    both: Tensor
    either: Tensor
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("both", "either"):
            self.add_state(name, torch.zeros(len(ROOMS)), "sum")
        self.add_state("counts", torch.zeros(3), "sum")  # boxes that hit, were found, are there

    def update(self, strokes: Tensor, drawn: Tensor, batch: dict[str, Tensor], actions: ActionSpace) -> None:
        found, there = nearest(drawn.movedim(1, -1), batch["palette"]), batch["label"]
        for k in range(len(ROOMS)):
            self.both[k] += ((found == k) & (there == k)).sum()
            self.either[k] += ((found == k) | (there == k)).sum()
        for rows, types in zip(strokes, there, strict=True):
            ours, true = boxes_of(rows, actions, batch["palette"]), boxes_in(types.cpu().numpy())
            self.counts += torch.tensor([hits(ours, true), len(ours), len(true)], device=self.counts.device)

    def compute(self) -> dict[str, Tensor]:
        iou = self.both / self.either.clamp_min(1)
        named = {f"iou_{name.replace(' ', '_')}": v for name, v in zip(ROOMS, iou, strict=True) if name != "outside"}
        hit, found, there = self.counts
        return {
            "iou": iou[1:].mean(),
            **named,
            "box_precision": hit / found.clamp_min(1),
            "box_recall": hit / there.clamp_min(1),
        }


def rooms(drawing: Drawing) -> list[dict[str, Any]]:
    """The rooms that a drawing of rectangles shows.

    Args:
        drawing: Of a floor plan.

    Returns:
        Of each ``room``, its type, and ``box``: [left, top, right, bottom] as fractions of the plan.

    Raises:
        ValueError: For a drawing of other strokes.
    """
    if not drawing.renderer.startswith("rectangle"):
        raise ValueError(
            f"rooms are rectangles, and this is a drawing of {drawing.renderer!r}: use a model of floor plans"
        )
    actions = renderers.get(drawing.renderer).actions
    found = boxes_of(drawing.strokes, actions, torch.tensor(COLOURS) / 255)
    return [{"room": list(ROOMS)[kind], "box": [round(v, 4) for v in box]} for kind, box in found]


def corners_of(strokes: Tensor, actions: ActionSpace) -> Tensor:
    """The least and the greatest corner (..., 2, 3) of prisms (..., A)."""
    ends = actions.select(strokes, "x0 y0 z0 x1 y1 z1").unflatten(-1, (2, 3))
    return torch.stack([ends.amin(-2), ends.amax(-2)], -2)


def occupied(corners: Tensor, cells: int = 32) -> Tensor:
    """Which of cells³ in the unit cube lie inside any of the boxes (n, 2, 3)."""
    at = (torch.arange(cells, device=corners.device) + 0.5) / cells
    x, y, z = ((at >= corners[:, :1, i]) & (at <= corners[:, 1:, i]) for i in range(3))
    return (x[:, :, None, None] & y[:, None, :, None] & z[:, None, None, :]).any(0)


class PrismBoxes(Metric):
    """How near prisms are to the true ones.

    ``corner_error``: the mean distance, in sides of the space, of the two extreme corners of each true prism from those
    of the prism drawn for it (the pairing with the least sum). ``volume_iou``: intersection over union of all that is
    inside a prism, the mean of the scenes.
    """

    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(4), "sum")  # error, corners; overlap, scenes

    def update(self, strokes: Tensor, drawn: Tensor, batch: dict[str, Tensor], actions: ActionSpace) -> None:
        for rows, truth, count in zip(strokes, batch["prisms"], batch["label"].tolist(), strict=True):
            ours, true = corners_of(rows, actions), corners_of(truth[:count], actions)
            distance = (ours[:, None] - true).norm(dim=-1).mean(-1)
            error = distance[paired(distance.cpu().numpy())]
            a, b = occupied(ours), occupied(true)
            iou = float((a & b).sum() / (a | b).sum().clamp_min(1))
            self.sums += torch.tensor([float(error.sum()), len(error), iou, 1], device=self.sums.device)

    def compute(self) -> dict[str, Tensor]:
        error, corners, iou, scenes = self.sums
        return {"corner_error": error / corners, "volume_iou": iou / scenes}


def judge_of(batch: dict[str, Tensor]) -> str | None:
    """The name of the metric for a batch, by the truth that it brings along; None if there is none."""
    if "prisms" in batch:
        return "prisms"
    if "palette" not in batch:
        return None
    return "rooms" if batch["label"].ndim == 3 else "colours"


def judges() -> dict[str, Metric]:
    """A metric for each kind of truth, see :func:`judge_of`."""
    return {"colours": ClassColours(), "rooms": RoomBoxes(), "prisms": PrismBoxes()}
