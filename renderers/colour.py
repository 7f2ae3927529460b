"""CIE L*a*b* colour (D65, 2°) and sRGB, both ways and with gradients; and the columns of a stroke that hold its colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from renderers.base import ActionSpace

XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)
EPSILON, KAPPA = 0.008856, 7.787
REACH = 110.0  # a* and b* of columns are from -REACH to REACH: all of sRGB


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB (..., 3) in [0, 1] to L*a*b*: L* in [0, 100], a* and b* within ±REACH."""
    linear = torch.where(rgb > 0.04045, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = linear @ rgb.new_tensor(XYZ).T / rgb.new_tensor(WHITE)
    x, y, z = torch.where(xyz > EPSILON, xyz.clamp_min(EPSILON) ** (1 / 3), KAPPA * xyz + 16 / 116).unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """L*a*b* (..., 3) to sRGB in [0, 1]; what sRGB cannot show is clipped."""
    lightness, a, b = lab.unbind(-1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], -1)
    xyz = torch.where(f > EPSILON ** (1 / 3), f**3, (f - 16 / 116) / KAPPA) * lab.new_tensor(WHITE)
    linear = xyz @ torch.linalg.inv(lab.new_tensor(XYZ)).T
    return torch.where(
        linear > 0.0031308, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear
    ).clamp(0, 1)


RGB_COLUMNS, LAB_COLUMNS = " red green blue", " lightness a b"


def colours(actions: ActionSpace, strokes: Tensor) -> Tensor:
    """Colours (..., 3) of strokes (..., A), in sRGB: their columns ``red green blue``, or ``lightness a b``, L*a*b* scaled to [0, 1]."""
    if "lightness" not in actions:
        return actions.select(strokes, RGB_COLUMNS.strip())
    columns = actions.select(strokes, LAB_COLUMNS.strip())
    return lab_to_rgb(
        columns * columns.new_tensor([100.0, 2 * REACH, 2 * REACH]) - columns.new_tensor([0.0, REACH, REACH])
    )


def colour_columns(actions: ActionSpace, rgb: Tensor) -> Tensor:
    """The columns (..., 3) of strokes that have the colours (..., 3), in sRGB: what :func:`colours` undoes."""
    if "lightness" not in actions:
        return rgb
    lab = rgb_to_lab(rgb)
    return (lab + lab.new_tensor([0.0, REACH, REACH])) / lab.new_tensor([100.0, 2 * REACH, 2 * REACH])
