"""SVG: true paths. Curves of one width are stroked Béziers; tapered ones are filled areas."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from renderers.drawing import Drawing
from renderers.formats import register
from renderers.outline import Outline

UNIT = 1000  # user units in a length of 1


def number(value: float) -> str:
    """A number with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rgb(colour: tuple[float, ...]) -> str:
    """A colour, one number in [0, 1] (grey) or three, as #rrggbb."""
    r, g, b = (round(255 * v) for v in (colour * 3 if len(colour) == 1 else colour))
    return f"#{r:02x}{g:02x}{b:02x}"


def path_of(points: np.ndarray) -> str:
    """Path data of straight lines through points (k, 2), in user units."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def swept(outline: Outline, scale: np.ndarray, pieces: int = 1) -> list[str]:
    """The area that a tapered round brush sweeps: circles, each with the quadrilateral that joins it to the one before.

    All turn the same way, so that their union is filled (non-zero rule) and one opacity counts once.

    Args:
        outline: a curve or a straight line.
        scale: user units of the canvas's width and height.
        pieces: at least so many circles, beside the first.

    Returns:
        Path data of each circle, in order.
    """
    bend = float(np.linalg.norm(outline.points[0] - 2 * outline.points[len(outline.points) // 2] + outline.points[-1]))
    n = max(pieces, 1, min(24, round((bend * UNIT) ** 0.5)))
    t = np.linspace(0, 1, n + 1)
    straight = outline.points[0] + t[:, None] * (outline.points[-1] - outline.points[0])
    path = (outline.at(t) if outline.kind == "curve" else straight) * scale
    radii = np.linspace(*outline.widths, len(path)) * UNIT / 2
    parts = []
    for (x, y), r in zip(path, radii, strict=True):
        x0, y0, d, r2 = number(x - r), number(y), number(2 * r), number(r)
        parts.append(f"M{x0} {y0}a{r2} {r2} 0 1 1 {d} 0a{r2} {r2} 0 1 1 -{d} 0Z")
    for k in range(len(path) - 1):
        parts[k + 1] += joined(path[k : k + 2], radii[k : k + 2])
    return parts


def joined(centres: np.ndarray, radii: np.ndarray) -> str:
    """Path data of the quadrilateral between two circles: the points where their common tangents touch them.

    Args:
        centres: (2, 2) as x, y in user units.
        radii: (2,) in user units.
    """
    along = centres[1] - centres[0]
    length = float(np.hypot(*along))
    lean = (radii[0] - radii[1]) / length if length > 1e-6 else 1.0
    if abs(lean) >= 1:  # one circle holds the other
        return ""
    along = along / length
    normal = np.array([-along[1], along[0]])
    left, right = (along * lean + side * normal * (1 - lean**2) ** 0.5 for side in (1, -1))
    corners = [centres[0] + radii[0] * right, centres[1] + radii[1] * right]
    corners += [centres[1] + radii[1] * left, centres[0] + radii[0] * left]
    return path_of(np.array(corners)) + "Z"


def faded(parent: ElementTree.Element, outline: Outline, scale: np.ndarray, name: str) -> None:
    """Add a stroke of changing opacity: its colour, seen through a mask on which later pieces overwrite earlier ones.

    Args:
        parent: the element to add to.
        outline: a curve or a straight line.
        scale: user units of the canvas's width and height.
        name: the mask's.
    """
    start, end = outline.opacities
    whole = {"maskUnits": "userSpaceOnUse", "x": "0", "y": "0", **area(scale)}
    mask = ElementTree.SubElement(parent, "mask", {"id": name, **whole})
    parts = swept(outline, scale, max(2, round(32 * abs(end - start))))
    for k, data in enumerate(parts):
        ElementTree.SubElement(mask, "path", {"d": data, "fill": rgb((start + (end - start) * k / (len(parts) - 1),))})
    ElementTree.SubElement(parent, "rect", {**area(scale), "fill": rgb(outline.colour), "mask": f"url(#{name})"})


def area(scale: np.ndarray) -> dict[str, str]:
    """An element's width and height, in user units."""
    return {"width": number(scale[0]), "height": number(scale[1])}


def solid(parent: ElementTree.Element, outline: Outline, scale: np.ndarray) -> None:
    """Add a stroke of one opacity: a circle, a polygon, a stroked path, or the area that a tapered brush sweeps.

    Args:
        parent: the element to add to.
        outline: of any kind.
        scale: user units of the canvas's width and height.
    """
    paint = {"fill": rgb(outline.colour)}
    if outline.opacities[0] < 1:
        paint["opacity"] = f"{outline.opacities[0]:.4f}"
    points, width = outline.points * scale, outline.widths[0] * UNIT
    if outline.kind == "circle":
        (cx, cy), r = points[0], width / 2
        ElementTree.SubElement(parent, "circle", {"cx": number(cx), "cy": number(cy), "r": number(r), **paint})
    elif outline.kind == "polygon":
        ElementTree.SubElement(parent, "path", {"d": path_of(points) + "Z", **paint})
    elif outline.widths[0] == outline.widths[1] and (points != points[0]).any():
        data = path_of(points)
        if outline.kind == "curve":
            data = "M{} {}Q{} {} {} {}".format(*map(number, points.reshape(-1)))
        paint["stroke"], paint["fill"] = paint["fill"], "none"
        style = {"stroke-width": number(width), "stroke-linecap": "round", "stroke-linejoin": "round"}
        ElementTree.SubElement(parent, "path", {"d": data, **paint, **style})
    else:
        ElementTree.SubElement(parent, "path", {"d": "".join(swept(outline, scale)), **paint})


def write(drawing: Drawing, path: Path) -> None:
    """The picture's area is UNIT² user units; its shape is the drawing's aspect.

    Args:
        drawing: what to write.
        path: the file to write.
    """
    scale = np.array([UNIT * drawing.aspect**0.5, UNIT / drawing.aspect**0.5])
    view = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 {width} {height}".format(**area(scale))}
    root = ElementTree.Element("svg", {**view, **area(scale)})
    ElementTree.SubElement(root, "rect", {**area(scale), "fill": rgb(drawing.background or (0.0,))})
    for i, outline in enumerate(drawing.outlines()):
        if outline.opacities[0] == outline.opacities[1]:
            solid(root, outline, scale)
        else:
            faded(root, outline, scale, f"m{i}")
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


register(".svg", write)
