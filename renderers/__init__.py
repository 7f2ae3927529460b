"""What a stroke looks like: action spaces, renderers and drawings. torch, NumPy and Numba only."""

from renderers import curves, mypaint, pen, prism, shapes  # noqa: F401  (each registers its renderers)
from renderers.base import ActionSpace, Box, Renderer
from renderers.drawing import Drawing, grid, read_drawings
from renderers.export import animation, gcode, json, obj, png, svg  # noqa: F401  (each registers its formats)
from renderers.outline import Outline
from renderers.pixels import Overlay
from renderers.registry import get, names, nearest, register

__all__ = [
    "ActionSpace",
    "Box",
    "Drawing",
    "Outline",
    "Overlay",
    "Renderer",
    "get",
    "grid",
    "names",
    "nearest",
    "read_drawings",
    "register",
]
