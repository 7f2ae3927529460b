"""The options of a CanvasDrawer, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """The drawer's network, see ``networks.DrawerNet``.

    Args:
        lstm: With the LSTM or, as in the paper's comparison, without.
        hint_channels: Channels of the hint image, 1 or 3.
        width: Features of each tower, and units of the LSTM.
        halvings: How often the towers halve the sides of their blocks; most weights lie behind the last of them.
        early_fusion: Whether the canvas's tower sees the hint, too: what is missing is then a difference of pixels, and
            not one of two towers' features. Late strokes, which draw little of what is there, need it. A drawer with it
            may start from one without (``--init_from``).
    """

    lstm: bool = True
    hint_channels: int = 1
    width: int = 256
    halvings: int = 1
    early_fusion: bool = False


@dataclass(frozen=True)
class Pixels:
    """How the final canvas is judged; all zeros are the paper's loss.

    Args:
        ink_weight: How much more the target's ink weighs in the loss at first, falling to nothing. Where there is
            little ink, a stroke does harm nearly anywhere: with equal weights a drawer learns to hide its strokes.
        drop: Share of the strokes that training leaves off the canvas at first, falling to nothing. Later strokes learn
            to draw what is missing, where a drawer of few steps is taught to take many.
        absolute: The absolute error instead of its square. A shape that covers several things in their mean colour
            lowers the square, and what lies below it no longer learns; it does not lower the absolute error.
        coarse: Share of the training, from its start, that paints at half of image_size: a quarter of the pixels, and
            the gradient of an edge reaches twice as far.
        stop_cost: What a stroke costs, in units of the error: the drawer learns when to stop (§6 wishes for it). At
            each step after the first it says how likely it goes on; training goes on that often (the gradient is
            straight-through, Bengio et al., 2013), and drawing stops where it is less than 1/2. 0: always N strokes.
    """

    ink_weight: float = 0.0
    drop: float = 0.0
    absolute: bool = False
    coarse: float = 0.0
    stop_cost: float = 0.0


@dataclass(frozen=True)
class Teaching:
    """A beginning with strokes that are shown, before the pixels.

    Args:
        teacher: Name of a trained drawer of the same image_size, of as many steps at least, whose strokes it first
            learns to make: the columns of the same names. ``data``: the strokes that batches bring along (of floor
            plans, boxes found in the pixels of the target). null: none, the paper's form.
        share: Which part of the training that takes, from its start.
        blind: Whether it does not look at its canvas in that part (it needs an LSTM to count its strokes). One that
            looks sees canvases of the strokes that are shown, never of its own, and learns to lean on them.
        matched: How much, beside the pixels, the strokes that the data shows count in any order: each is compared with
            one of the drawer's own, in the pairing with the least error (as DETR does: Carion et al., 2020,
            arXiv:2005.12872).
    """

    teacher: str | None = None
    share: float = 0.5
    blind: bool = False
    matched: float = 0.0

    def __post_init__(self) -> None:
        if self.teacher == "None":  # what the command line makes of null for a field that a recipe has set
            object.__setattr__(self, "teacher", None)


@dataclass(frozen=True)
class Sliding:
    """How a drawer goes over large images (§3.4).

    Args:
        windows: Sides in pixels of the windows of each pass, multiples of image_size, each looked at as image_size²
            pixels; (128, 64) is the hierarchical drawer. null: it looks at images as a whole.
        overlap: Windows lie half a window apart, and see what was drawn in them before; or side by side.
    """

    windows: Sequence[int] | None = None
    overlap: bool = True


MOVED = {
    **{name: f"network.{name}" for name in ("lstm", "hint_channels", "width", "halvings")},
    **{name: f"pixels.{name}" for name in ("ink_weight", "drop", "absolute", "coarse", "stop_cost")},
    **{"teacher": "teaching.teacher", "taught": "teaching.share"},
    **{name: f"sliding.{name}" for name in ("windows", "overlap")},
}
"""Where the arguments of older config.json files are now."""
