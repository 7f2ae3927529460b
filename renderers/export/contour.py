"""The contour of a tapered stroke, as SVG path data: a few curves and arcs instead of the circles of its brush.

Points are complex numbers, x + iy, in user units; y points down. Path data is relative and has one decimal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRAY = 0.5  # user units that a piece of a side may stray from the true one
HALVINGS = 3  # of a side, at most
NEARLY_HALF = 1.9  # chord over radius of an arc; a longer one would shift with the rounding of its ends
LEFT, TIP, RIGHT = range(3)


@dataclass(frozen=True)
class Sweep:
    """The circles of a round brush whose radius changes linearly along a quadratic Bézier curve.

    Args:
        points: the curve's control points, (3,) complex.
        radii: at its start and at its end; the second is no less.
    """

    points: tuple[complex, complex, complex]
    radii: tuple[float, float]

    @classmethod
    def growing(cls, start: np.ndarray, control: np.ndarray, end: np.ndarray, radius: float, last: float) -> Sweep:
        """The sweep between two points (2,), from the thinner end to the thicker one."""
        p0, p1, p2 = (complex(*p.tolist()) for p in (start, control, end))
        return cls((p0, p1, p2), (radius, last)) if radius <= last else cls((p2, p1, p0), (last, radius))

    def at(self, t: float) -> tuple[complex, complex, float]:
        """The circle's centre at t in [0, 1], its velocity, and its radius."""
        (p0, p1, p2), (r0, r2), s = self.points, self.radii, 1 - t
        return s * s * p0 + 2 * s * t * p1 + t * t * p2, 2 * (s * (p1 - p0) + t * (p2 - p1)), s * r0 + t * r2

    def touched(self, t: float) -> tuple[complex, complex, complex]:
        """Where the circle at t touches the contour: on the left, at its tip, which is the foremost point, on the
        right.

        It touches where it does not move along its own normal: as far behind the centre as it grows.
        """
        centre, velocity, radius = self.at(t)
        speed = abs(velocity)
        ahead = radius * velocity / speed if speed else radius + 0j
        back = max(-1.0, (self.radii[0] - self.radii[1]) / speed if speed else 0.0)
        aside = 1j * (1 - back * back) ** 0.5
        return centre + ahead * (back + aside), centre + ahead, centre + ahead * (back - aside)

    def spans(self) -> list[tuple[float, float]]:
        """The parts of [0, 1] where the centre moves faster than the radius grows: elsewhere, circles lie within later
        ones.

        The contour turns fastest at the ends of such a part, so it is left out where that takes away STRAY at most.
        """
        (p0, p1, p2), growth = self.points, self.radii[1] - self.radii[0]
        start, change = 2 * (p1 - p0), 2 * (p0 - 2 * p1 + p2)
        # speed² - growth² = a t² + 2 b t + c
        a, b, c = abs(change) ** 2, (start * change.conjugate()).real, abs(start) ** 2 - growth**2
        if a == 0:
            return [(0.0, 1.0)] if c > 0 else []
        if b * b <= a * c:
            return [(0.0, 1.0)]
        root, margin = (b * b - a * c) ** 0.5, 2 * STRAY / (growth + (growth**2 + 2 * a**0.5 * STRAY) ** 0.5)
        first, last = min((-b - root) / a - margin, 1.0), max((-b + root) / a + margin, 0.0)
        return [(start, end) for start, end in ((0.0, first), (last, 1.0)) if start < end]

    def side(self, start: float, end: float, which: int, halvings: int = HALVINGS) -> list[complex]:
        """One side of the contour between two t: pairs of points, the middle and the end of each of its pieces."""
        first, early, middle, late, last = (self.touched(start + (end - start) * k / 4)[which] for k in range(5))
        stray = max(abs(6 * middle + 3 * p - q - 8 * r) / 8 for p, q, r in ((first, last, early), (last, first, late)))
        if halvings and stray > STRAY:
            half = (start + end) / 2
            return self.side(start, half, which, halvings - 1) + self.side(half, end, which, halvings - 1)
        return [middle, last]


class PathData:
    """Path data in the making: relative, in tenths of a user unit, without drift."""

    def __init__(self) -> None:
        self.text, self.pen, self.start = "", 0j, 0j

    def add(self, letter: str, *points: complex, before: str = "") -> None:
        """Add a command and the points that it takes; ``before`` stands before the first."""
        tenths = [complex(round(10 * p.real), round(10 * p.imag)) for p in points]
        steps = [p - self.pen for p in tenths]
        numbers = " ".join(f"{v / 10:g}" for step in steps for v in (step.real, step.imag))
        self.text += f"{letter}{before}{numbers}".replace(" -", "-")
        self.pen = tenths[-1]

    def begin(self, point: complex) -> None:
        """Begin a part."""
        self.add("m", point)
        self.start = self.pen

    def close(self) -> None:
        """End a part where it began."""
        self.text, self.pen = self.text + "z", self.start

    def arc(self, radius: float, *ends: complex) -> None:
        """Add arcs to the left, each of at most a half circle."""
        for end in ends:
            self.add("a", end, before=f"{radius:.1f} {radius:.1f} 0 0 0 ".replace(".0 ", " "))

    def curves(self, side: list[complex]) -> None:
        """Add a side's pieces, each a curve from where the pen is through its middle to its end."""
        for middle, end in zip(side[::2], side[1::2], strict=True):
            self.add("q", 2 * middle - (self.pen / 10 + end) / 2, end)


def contour(sweep: Sweep) -> str:
    """Path data of the area that a sweep covers, filled by the non-zero rule.

    The sides turn round the tips the same way, so that a point is encircled once for every stretch of the brush's way
    that covers it.
    """
    data = PathData()
    spans = sweep.spans()
    for start, end in spans:
        (centre, _, thin), (last, _, thick) = sweep.at(start), sweep.at(end)
        (left, back, _), (side, tip, right) = sweep.touched(start), sweep.touched(end)
        quarters = [last + 1j * (tip - last), tip, last - 1j * (tip - last)]
        data.begin(left)
        data.curves(sweep.side(start, end, LEFT))
        data.arc(thick, *(quarters if abs(tip - side) > NEARLY_HALF * thick else [tip]), right)
        data.curves(sweep.side(end, start, RIGHT))
        data.arc(thin, 2 * centre - back, left)
        data.close()
    if not spans or spans[-1][1] < 1:
        centre, _, radius = sweep.at(1.0)
        data.begin(centre - radius)
        data.arc(radius, *(centre + radius * turn for turn in (1j, 1, -1j, -1)))
        data.close()
    return data.text
