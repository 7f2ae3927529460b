"""Canvas-Drawer (Frans & Cheng, 2018, arXiv:1811.08170)."""

from zoo.canvas_drawer.canvas import CanvasNetwork
from zoo.canvas_drawer.drawer import CanvasDrawer
from zoo.canvas_drawer.translation import rooms

__all__ = ["CanvasDrawer", "CanvasNetwork", "rooms"]
