"""Wavefront OBJ: prisms as solid boxes, with a colour at every vertex (``v x y z red green blue``)."""

from __future__ import annotations

from pathlib import Path

from renderers.colour import colours
from renderers.drawing import Drawing
from renderers.formats import register

FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
"""Of a box whose corner number is 4 x + 2 y + z, each 0 or 1. Seen from outside, its corners turn to the left."""


def write(drawing: Drawing, path: Path) -> None:
    """The space is the unit cube; y goes up and z to the back.

    Args:
        drawing: strokes of ``prism``.
        path: the file to write.

    Raises:
        ValueError: for strokes that have no volume.
    """
    if drawing.renderer != "prism":
        flat = f"a drawing of {drawing.renderer!r} is flat"
        raise ValueError(f"{flat}: .obj is for 'prism'; choose .svg or another ending")
    actions = drawing.exact().actions
    lines = [f"# {len(drawing)} prisms"]
    for i, row in enumerate(drawing.strokes.double()):
        (x0, x1), (y0, y1), (z0, z1) = (sorted(actions.select(row, f"{c}0 {c}1").tolist()) for c in "xyz")
        red, green, blue = colours(actions, row).tolist()
        lines.append(f"o prism{i}")
        for x in (x0, x1):
            for y in (1 - y1, 1 - y0):
                lines += [f"v {x:.6f} {y:.6f} {-z:.6f} {red:.4f} {green:.4f} {blue:.4f}" for z in (z1, z0)]
        lines += ["f " + " ".join(str(8 * i + 1 + k) for k in face) for face in FACES]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


register(".obj", write)
