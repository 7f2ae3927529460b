"""SVG: true paths. Curves of one width are stroked Béziers; tapered ones are filled with the area that the round brush sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from renderers.base import Outline

if TYPE_CHECKING:
    from renderers.drawing import Drawing

UNIT = 1000  # user units in a length of 1


def number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rgb(colour: tuple[float, ...]) -> str:
    r, g, b = (round(255 * v) for v in (colour * 3 if len(colour) == 1 else colour))
    return f"#{r:02x}{g:02x}{b:02x}"


def path_of(points: np.ndarray) -> str:
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def swept(outline: Outline, scale: np.ndarray, pieces: int = 1) -> list[str]:
    """Path data of the area that a tapered round brush sweeps, in at least so many pieces: circles along the curve, each with the
    quadrilateral that joins it to the one before.

    All turn the same way, so that their union is filled (non-zero rule) and one opacity counts once.
    """
    bend = float(np.linalg.norm(outline.points[0] - 2 * outline.points[len(outline.points) // 2] + outline.points[-1]))
    n = max(pieces, 1, min(24, round((bend * UNIT) ** 0.5)))
    t = np.linspace(0, 1, n + 1)
    path = (
        outline.at(t)
        if outline.kind == "curve"
        else outline.points[0] + t[:, None] * (outline.points[-1] - outline.points[0])
    )
    path = path * scale
    radii = np.linspace(*outline.widths, len(path)) * UNIT / 2
    parts = []
    for (x, y), r in zip(path, radii, strict=True):
        x0, y0, d, r2 = number(x - r), number(y), number(2 * r), number(r)
        parts.append(f"M{x0} {y0}a{r2} {r2} 0 1 1 {d} 0a{r2} {r2} 0 1 1 -{d} 0Z")
    for k in range(len(path) - 1):
        along = path[k + 1] - path[k]
        length = float(np.hypot(*along))
        lean = (radii[k] - radii[k + 1]) / length if length > 1e-6 else 1.0
        if abs(lean) >= 1:  # one circle holds the other
            continue
        along = along / length
        normal = np.array([-along[1], along[0]])
        touch = along * lean + normal * (1 - lean**2) ** 0.5  # where the common tangents touch
        mirror = along * lean - normal * (1 - lean**2) ** 0.5
        corners = [path[k] + radii[k] * mirror, path[k + 1] + radii[k + 1] * mirror]
        corners += [path[k + 1] + radii[k + 1] * touch, path[k] + radii[k] * touch]
        parts[k + 1] += path_of(np.array(corners)) + "Z"
    return parts


def faded(parent: ElementTree.Element, outline: Outline, scale: np.ndarray, name: str) -> None:
    """A stroke of changing opacity: a mask on which later pieces overwrite earlier ones, as the brush does, and the colour behind it."""
    start, end = outline.opacities
    mask = ElementTree.SubElement(
        parent, "mask", {"id": name, "maskUnits": "userSpaceOnUse", "x": "0", "y": "0", **area(scale)}
    )
    parts = swept(outline, scale, max(2, round(32 * abs(end - start))))
    for k, data in enumerate(parts):
        ElementTree.SubElement(mask, "path", {"d": data, "fill": rgb((start + (end - start) * k / (len(parts) - 1),))})
    ElementTree.SubElement(parent, "rect", {**area(scale), "fill": rgb(outline.colour), "mask": f"url(#{name})"})


def area(scale: np.ndarray) -> dict[str, str]:
    return {"width": number(scale[0]), "height": number(scale[1])}


def write(drawing: Drawing, path: Path) -> None:
    """The picture's area is UNIT² user units; its shape is the drawing's aspect."""
    scale = np.array([UNIT * drawing.aspect**0.5, UNIT / drawing.aspect**0.5])
    view = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 {width} {height}".format(**area(scale))}
    root = ElementTree.Element("svg", {**view, **area(scale)})
    ElementTree.SubElement(root, "rect", {**area(scale), "fill": rgb(drawing.background or (0.0,))})
    for i, o in enumerate(drawing.outlines()):
        if o.opacities[0] != o.opacities[1]:
            faded(root, o, scale, f"m{i}")
            continue
        paint = {"fill": rgb(o.colour)}
        if o.opacities[0] < 1:
            paint["opacity"] = f"{o.opacities[0]:.4f}"
        points = o.points * scale
        if o.kind == "circle":
            (cx, cy), r = points[0], o.widths[0] * UNIT / 2
            ElementTree.SubElement(root, "circle", {"cx": number(cx), "cy": number(cy), "r": number(r), **paint})
        elif o.kind == "polygon":
            ElementTree.SubElement(root, "path", {"d": path_of(points) + "Z", **paint})
        elif o.widths[0] == o.widths[1] and (points != points[0]).any():
            data = path_of(points)
            if o.kind == "curve":
                data = "M{} {}Q{} {} {} {}".format(*map(number, points.reshape(-1)))
            paint["stroke"], paint["fill"] = paint["fill"], "none"
            style = {"stroke-width": number(o.widths[0] * UNIT), "stroke-linecap": "round", "stroke-linejoin": "round"}
            ElementTree.SubElement(root, "path", {"d": data, **paint, **style})
        else:
            ElementTree.SubElement(root, "path", {"d": "".join(swept(o, scale)), **paint})
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
