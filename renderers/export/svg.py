"""SVG: true paths, one element a stroke. Curves of one width are stroked Béziers; tapered ones are filled contours."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from renderers.drawing import Drawing
from renderers.export.contour import Sweep, contour
from renderers.formats import register
from renderers.outline import Outline

UNIT = 1000  # user units in a length of 1
ROUNDING = 0.25  # user units: at 1,024 pixels, circles of whole-numbered radii are so much larger on the average
AHEAD = np.pi / 4  # of the radius: so far before a point lies, on the average, the last circle that covers it
FLAT = 0.02  # a smaller change of opacity is left out


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


def tapered(outline: Outline, scale: np.ndarray, exact: bool) -> str:
    """Path data of the area of a tapered stroke: its contour, or, if ``exact``, the union of its brush's circles."""
    if exact:
        return "".join(swept(outline, scale))
    start, middle, end = outline.points[[0, 1, -1]] * scale
    if outline.kind == "curve":
        return contour(Sweep.growing(start, middle, end, *(w * UNIT / 2 + ROUNDING for w in outline.widths)))
    return contour(Sweep.growing(start, (start + end) / 2, end, *(w * UNIT / 2 for w in outline.widths)))


def shape(outline: Outline, scale: np.ndarray, exact: bool) -> tuple[str, dict[str, str]]:
    """The shape of a stroke, without its paint.

    Args:
        outline: of any kind.
        scale: user units of the canvas's width and height.
        exact: see :func:`write`.

    Returns:
        An element's tag, ``circle`` or ``path``, and its attributes; a path that has ``stroke-width`` is to be stroked.
    """
    points, width = outline.points * scale, outline.widths[0] * UNIT
    if outline.kind == "circle":
        return "circle", {"cx": number(points[0, 0]), "cy": number(points[0, 1]), "r": number(width / 2)}
    if outline.kind == "polygon":
        return "path", {"d": path_of(points) + "Z"}
    if outline.widths[0] != outline.widths[1] or (points == points[0]).all():
        return "path", {"d": tapered(outline, scale, exact)}
    data = path_of(points)
    if outline.kind == "curve":
        data = "M{} {}Q{} {} {} {}".format(*map(number, points.reshape(-1)))
    return "path", {"d": data, "stroke-width": number(width), "stroke-linecap": "round", "stroke-linejoin": "round"}


def gradient(outline: Outline, scale: np.ndarray) -> ElementTree.Element | None:
    """The change of a stroke's opacity along the straight line from its start to its end.

    Each circle of its brush hides those before it: at a point, the last that covers it counts.

    Args:
        outline: a curve or a straight line.
        scale: user units of the canvas's width and height.

    Returns:
        A gradient without a name; None where the opacity hardly changes, or the last circle covers all.
    """
    radii, way = np.array(outline.widths) * UNIT / 2, (outline.points[-1] - outline.points[0]) * scale
    length = float(np.hypot(*way))
    change = abs(outline.opacities[1] - outline.opacities[0])
    if change < FLAT or length < max(1.0, radii[1] - radii[0]):
        return None
    ends = outline.points[[0, -1]] * scale - AHEAD * radii[:, None] * way / length
    line = dict(zip(("x1", "y1", "x2", "y2"), map(number, ends.reshape(-1)), strict=True))
    element = ElementTree.Element("linearGradient", {"gradientUnits": "userSpaceOnUse", **line})
    for offset, opacity in enumerate(outline.opacities):
        stop = {"offset": str(offset), "stop-color": rgb(outline.colour), "stop-opacity": number(opacity)}
        ElementTree.SubElement(element, "stop", stop)
    return element


def add(parent: ElementTree.Element, outline: Outline, scale: np.ndarray, name: str, exact: bool) -> None:
    """Add a stroke.

    Args:
        parent: the element to add to.
        outline: of any kind.
        scale: user units of the canvas's width and height.
        name: of its gradient or mask, should it need one.
        exact: see :func:`write`.
    """
    start, end = outline.opacities
    if exact and start != end:
        return faded(parent, outline, scale, name)
    paint, opacity = rgb(outline.colour), end if outline.widths[0] < outline.widths[1] else (start + end) / 2
    if start != end and (element := gradient(outline, scale)) is not None:
        element.set("id", name)
        parent.append(element)
        paint, opacity = f"url(#{name})", 1.0
    tag, attributes = shape(outline, scale, exact)
    kind = "stroke" if "stroke-width" in attributes else "fill"
    attributes |= {"fill": "none"} if kind == "stroke" else {}
    attributes |= {kind: paint, **({f"{kind}-opacity": f"{opacity:.4f}"} if opacity < 1 else {})}
    ElementTree.SubElement(parent, tag, attributes)


def write(drawing: Drawing, path: Path, exact: bool = False) -> None:
    """The picture's area is UNIT² user units; its shape is the drawing's aspect.

    Args:
        drawing: what to write.
        path: the file to write.
        exact: draw every circle of a brush whose width or opacity changes, under a mask of its own, instead of a
            contour with a gradient: closer to the picture where strokes are large, but many times as long, and slow to
            open.
    """
    scale = np.array([UNIT * drawing.aspect**0.5, UNIT / drawing.aspect**0.5])
    view = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 {width} {height}".format(**area(scale))}
    root = ElementTree.Element("svg", {**view, **area(scale)})
    ElementTree.SubElement(root, "rect", {**area(scale), "fill": rgb(drawing.background or (0.0,))})
    for i, outline in enumerate(drawing.outlines()):
        add(root, outline, scale, f"s{i}", exact)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


register(".svg", write)
