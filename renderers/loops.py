"""Compiled loops that paint strokes on canvases row by row, called by :mod:`renderers.compiled`.

A loop of a shape takes canvases (B, C, H, W), which it changes; ``numbers`` (N, …), strokes in pixels; ``colours``
(N, 4) = red, green, blue, alpha; ``mix``, how a stroke meets the canvas; and ``visits`` (M, 4) = canvas, stroke, first
row, row after the last, in the order of painting. Of each row it looks only at what the stroke may touch.

Numbers are kept in single precision, and in the order in which torch computes them: hence the named constants, as Numba
takes Python's for double precision. All are in one file: Numba keeps a loop as long as the loop's own file is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from renderers.visits import loop

Array = np.ndarray
Number = Any  # in single precision

OVER, LIGHTEN, DARKEN = range(3)
"""Colour painted over the canvas; the maximum of canvas and opacity; the minimum of canvas and 1 - opacity."""

ZERO, ONE, TWO, HALF, QUARTER = (np.float32(v) for v in (0, 1, 2, 0.5, 0.25))
TINY = np.float32(1e-8)
SLACK = np.float32(1 / 64)  # pixels: more than rounding moves an edge
CIRCLES = 100  # of a stroke of qbc
BRUSH = 8  # pixels that one instruction stores
SAMPLES = 17  # of a curve, as in distances.py
PILE = 4096  # pixels that are computed together: their numbers fit in the first-level caches


# --- from opacity to the canvas ---


@loop
def lay(canvas: Array, item: int, y: int, first: int, opacity: Array, colour: Array, mix: int) -> None:
    """Paint opacities (n,) on pixels first : first + n of a row."""
    n, alpha = len(opacity), colour[3]
    for channel in range(canvas.shape[1]):
        pixels, own = canvas[item, channel, y, first : first + n], colour[channel]
        if mix == OVER:
            for k in range(n):
                a = opacity[k] * alpha
                pixels[k] = pixels[k] * (ONE - a) + a * own
        elif mix == LIGHTEN:
            for k in range(n):
                pixels[k] = max(pixels[k], opacity[k] * alpha)
        else:
            for k in range(n):
                pixels[k] = min(pixels[k], ONE - opacity[k] * alpha)


@loop
def inside(low: Number, high: Number, width: int) -> tuple[int, int]:
    """The pixels first : end of a row whose centres may be in low : high."""
    first, end = int(min(max(low - HALF, ZERO), width)), int(np.ceil(max(min(high + HALF, width), ZERO)))
    return first, max(first, end)


@loop
def covered(distance: Number, edge: Number) -> Number:
    """Which part of a pixel is covered: see ``renderers.pixels.coverage``."""
    return min(max(HALF - distance / edge, ZERO), ONE)


@loop
def length(x: Number, y: Number) -> Number:
    """Length of a vector; never quite 0, so that one may divide by it."""
    return np.sqrt(max(x * x + y * y, TINY))


@loop
def reached(y: Number, ax: Number, ay: Number, bx: Number, by: Number, reach: Number) -> tuple[Number, Number]:
    """Between which x the points (x, y) lie that are within reach of the segment from a to b; low > high for none."""
    reach += SLACK
    if y < min(ay, by) - reach or y > max(ay, by) + reach:
        return np.float32(np.inf), np.float32(-np.inf)
    start, end = ZERO, ONE
    if ay != by:
        start, end = (y - reach - ay) / (by - ay), (y + reach - ay) / (by - ay)
        start, end = max(min(start, end), ZERO), min(max(start, end), ONE)
    x0, x1 = ax + start * (bx - ax), ax + end * (bx - ax)
    return min(x0, x1) - reach, max(x0, x1) + reach


# --- qbc ---


@loop
def circles(canvas: Array, numbers: Array, colours: Array, mix: int, visits: Array) -> None:
    """CIRCLES along a curve, each overwriting the earlier ones on a grid of twice the size; then the mean of 2 × 2.

    ``numbers``: (N, 10) = x0 y0 x1 y1 x2 y2 r0 r2 in the grid's pixels, whole numbers, and opacities a0 a2.
    """
    width = 2 * canvas.shape[3]
    upper, lower, line = np.zeros(width, np.float32), np.zeros(width, np.float32), np.empty(width // 2, np.float32)
    disc, value = np.empty((4, CIRCLES)), np.empty(CIRCLES, np.float32)
    low, high = np.empty(CIRCLES + 1, np.int64), np.empty(CIRCLES + 1, np.int64)
    for m in range(len(visits)):
        item, stroke = visits[m, 0], visits[m, 1]
        n, top, bottom = visible(numbers[stroke], 2 * visits[m, 2], 2 * visits[m, 3], disc, value)
        for y in range(top // 2, bottom // 2 + 1):
            spans(2 * y, width, n, disc, low, high)
            left, right = stamp(upper, value[:n], low, high)
            spans(2 * y + 1, width, n, disc, low, high)
            other_left, other_right = stamp(lower, value[:n], low, high)
            first, end = min(left, other_left) // 2, max(right, other_right) // 2 + 1
            if end <= first:
                continue
            a, b, opacity = upper[2 * first : 2 * end], lower[2 * first : 2 * end], line[: end - first]
            for k in range(len(opacity)):
                opacity[k] = ((a[2 * k] + a[2 * k + 1]) + (b[2 * k] + b[2 * k + 1])) * QUARTER
            for k in range(len(a)):
                a[k] = b[k] = ZERO
            lay(canvas, item, y, first, opacity, colours[stroke], mix)


@loop
def visible(stroke: Array, top: int, bottom: int, disc: Array, value: Array) -> tuple[int, int, int]:
    """Find a stroke's circles that touch the rows top : bottom of the grid, without those within the next one found.

    Writes x, y, radius and its square to ``disc`` (4, CIRCLES), and their values.

    Returns:
        How many they are, and the first and the last row that they touch.
    """
    x, y, radius, square = disc[0], disc[1], disc[2], disc[3]
    n, first, last = 0, float(bottom), top - 1.0
    for i in range(CIRCLES):
        t = np.float32(i) / np.float32(CIRCLES)
        p, q, r = (ONE - t) * (ONE - t), TWO * t * (ONE - t), t * t
        cx = np.float64(np.floor(p * stroke[0] + q * stroke[2] + r * stroke[4]))
        cy = np.float64(np.floor(p * stroke[1] + q * stroke[3] + r * stroke[5]))
        size = np.float64(np.floor((ONE - t) * stroke[6] + t * stroke[7]))
        if cy + size < top or cy - size >= bottom:
            continue
        if n and size >= radius[n - 1] and (cx - x[n - 1]) ** 2 + (cy - y[n - 1]) ** 2 <= (size - radius[n - 1]) ** 2:
            n -= 1
        x[n], y[n], radius[n], square[n] = cx, cy, size, size * size
        value[n] = stroke[8] * (ONE - t) + stroke[9] * t
        first, last = min(first, cy - size), max(last, cy + size)
        n += 1
    return n, int(max(first, top)), int(min(last, bottom - 1))


@loop
def spans(row: int, width: int, n: int, disc: Array, low: Array, high: Array) -> None:
    """The pixels low : high + 1 of a row of the grid that are in each of n circles; ``width`` : 0 for none."""
    x, y, square = disc[0], disc[1], disc[3]
    last = width - 1.0
    for i in range(n):
        rest = square[i] - (y[i] - row) ** 2
        half = np.floor(np.sqrt(max(rest, 0.0)))
        low[i] = np.int64(min(max(x[i] - half, 0.0), last + 1)) if rest >= 0 else width
        high[i] = np.int64(max(min(x[i] + half, last), -1.0)) if rest >= 0 else -1
    low[n], high[n] = width, -1


@loop
def stamp(row: Array, value: Array, low: Array, high: Array) -> tuple[int, int]:
    """Write circles to a row of the grid: of each what the next one does not overwrite. Returns the ends written."""
    left, right, brush = len(row), -1, np.uint64(min(BRUSH, len(row)))
    for i in range(len(value)):
        first, last = low[i], high[i]
        if first > last:
            continue
        left, right = min(left, first), max(right, last)
        if low[i + 1] - first <= BRUSH and last - high[i + 1] <= BRUSH and last - first >= BRUSH - 1:
            fill(row, first, brush, value[i])  # the next circle may overwrite some
            fill(row, last - (BRUSH - 1), brush, value[i])
        else:
            fill(row, first, np.uint64(max(min(low[i + 1], last + 1) - first, 0)), value[i])
            after = max(high[i + 1] + 1, first)
            fill(row, after, np.uint64(max(last + 1 - after, 0)), value[i])
    return left, right


@loop
def fill(row: Array, first: int, n: Number, value: Number) -> None:
    """Write to pixels first : first + n. Unsigned numbers spare the check for an index that counts from the end."""
    for x in range(np.uint64(first), np.uint64(first) + n):
        row[x] = value


# --- shapes ---


@loop
def discs(canvas: Array, numbers: Array, colours: Array, mix: int, visits: Array) -> None:
    """Filled circles. ``numbers``: (N, 3) = x, y, radius."""
    width = canvas.shape[3]
    line = np.empty(width, np.float32)
    for m in range(len(visits)):
        item, stroke = visits[m, 0], visits[m, 1]
        x, y, radius = numbers[stroke, 0], numbers[stroke, 1], numbers[stroke, 2]
        for row in range(visits[m, 2], visits[m, 3]):
            down = np.float32(row) + HALF - y
            first, end = inside(x - radius - ONE, x + radius + ONE, width)
            for k in range(end - first):
                distance = length(np.float32(first + k) + HALF - x, down) - radius
                line[k] = covered(distance, ONE)
            lay(canvas, item, row, first, line[: end - first], colours[stroke], mix)


@loop
def segments(canvas: Array, numbers: Array, colours: Array, mix: int, visits: Array) -> None:
    """Tapered segments: see ``renderers.distances.segment_distance``. ``numbers``: (N, 6) = x0 y0 x1 y1 r0 r1."""
    width = canvas.shape[3]
    line = np.empty(width, np.float32)
    for m in range(len(visits)):
        item, stroke = visits[m, 0], visits[m, 1]
        ax, ay, bx, by = numbers[stroke, 0], numbers[stroke, 1], numbers[stroke, 2], numbers[stroke, 3]
        r0, r1 = numbers[stroke, 4], numbers[stroke, 5]
        along_x, along_y = bx - ax, by - ay
        size = length(along_x, along_y)
        taper = (r1 - r0) / size
        lean = taper / np.sqrt(max(ONE - taper * taper, np.float32(1e-6)))
        for row in range(visits[m, 2], visits[m, 3]):
            y = np.float32(row) + HALF
            first, end = inside(*reached(y, ax, ay, bx, by, max(r0, r1) + HALF), width)
            v = y - ay
            for k in range(end - first):
                u = np.float32(first + k) + HALF - ax
                dot = (u * along_x + v * along_y) / size
                across = length(u - along_x * (dot / size), v - along_y * (dot / size))
                t = min(max((dot + lean * across) / size, ZERO), ONE)
                if abs(taper) >= ONE:  # one circle holds the other
                    t = ONE if r1 > r0 else ZERO
                distance = length(u - along_x * t, v - along_y * t) - (r0 + (r1 - r0) * t)
                line[k] = covered(distance, ONE)
            lay(canvas, item, row, first, line[: end - first], colours[stroke], mix)


@loop
def triangles(canvas: Array, numbers: Array, colours: Array, mix: int, visits: Array) -> None:
    """Filled triangles. ``numbers``: (N, 8) = x and y of the three corners, and of the first again."""
    width = canvas.shape[3]
    line, side = np.empty(width, np.float32), np.empty((3, width), np.float32)
    for m in range(len(visits)):
        item, stroke = visits[m, 0], visits[m, 1]
        corners = numbers[stroke]
        for row in range(visits[m, 2], visits[m, 3]):
            y, low, high = np.float32(row) + HALF, np.float32(width), ZERO
            for i in range(0, 6, 2):
                ax, ay, bx, by = corners[i], corners[i + 1], corners[i + 2], corners[i + 3]
                left, right = reached(y, ax, ay, bx, by, HALF)
                low, high = min(low, left), max(high, right)
            first, end = inside(low, high, width)
            n = end - first
            line[:n] = np.inf
            for i in range(0, 6, 2):
                ax, ay, bx, by = corners[i], corners[i + 1], corners[i + 2], corners[i + 3]
                along_x, along_y, v = bx - ax, by - ay, y - ay
                square = max(along_x * along_x + along_y * along_y, TINY)
                for k in range(n):
                    u = np.float32(first + k) + HALF - ax
                    t = min(max((u * along_x + v * along_y) / square, ZERO), ONE)
                    line[k] = min(line[k], length(u - along_x * t, v - along_y * t))
                    side[i // 2, k] = along_x * v - along_y * u
            for k in range(n):
                s0, s1, s2 = side[0, k], side[1, k], side[2, k]
                within = min(s0, min(s1, s2)) > ZERO or max(s0, max(s1, s2)) < ZERO
                line[k] = covered(-line[k] if within else line[k], ONE)
            lay(canvas, item, row, first, line[:n], colours[stroke], mix)


@loop
def rectangles(canvas: Array, numbers: Array, colours: Array, mix: int, visits: Array) -> None:
    """Filled rectangles, of which a stroke has one or more. ``numbers``: (N, k, 4) = x0 y0 x1 y1."""
    width = canvas.shape[3]
    line = np.empty(width, np.float32)
    for m in range(len(visits)):
        item, stroke = visits[m, 0], visits[m, 1]
        low, high = np.float32(width), ZERO
        for i in range(numbers.shape[1]):
            x0, x1 = numbers[stroke, i, 0], numbers[stroke, i, 2]
            low, high = min(low, min(x0, x1) - ONE), max(high, max(x0, x1) + ONE)
        first, end = inside(low, high, width)
        for row in range(visits[m, 2], visits[m, 3]):
            line[: end - first] = ZERO
            for i in range(numbers.shape[1]):
                x0, y0 = numbers[stroke, i, 0], numbers[stroke, i, 1]
                x1, y1 = numbers[stroke, i, 2], numbers[stroke, i, 3]
                down = abs(np.float32(row) + HALF - (y0 + y1) / TWO) - abs(y0 - y1) / TWO
                for k in range(end - first):
                    across = abs(np.float32(first + k) + HALF - (x0 + x1) / TWO) - abs(x0 - x1) / TWO
                    distance = max(across, down)
                    if distance > ZERO:
                        distance = length(max(across, ZERO), max(down, ZERO))
                    line[k] = max(line[k], covered(distance, ONE))
            lay(canvas, item, row, first, line[: end - first], colours[stroke], mix)


# --- curves ---


@loop
def curves(canvas: Array, numbers: Array, colours: Array, mix: int, visits: Array) -> None:
    """Curves a t² + b t + p with a tapered brush: see ``renderers.distances.signed_distance``.

    ``numbers``: (N, 9) = ax ay bx by px py, radii at both ends, width of the edge.
    """
    width = canvas.shape[3]
    near, runs = np.zeros(width, np.bool_), np.empty((PILE + width, 3), np.int64)
    pile = np.empty((4, PILE + 2 * width), np.float32)
    xs, ys, line, least = pile[0], pile[1], pile[2], pile[3]
    samples = np.empty((3, SAMPLES), np.float32)
    for m in range(len(visits)):
        item, stroke = visits[m, 0], visits[m, 1]
        sample(numbers[stroke], samples)
        n = ran = 0  # pixels and runs of them on the pile
        for y in range(visits[m, 2], visits[m, 3]):
            x, end = mark(near, y, numbers[stroke], samples)
            while x < end:
                begin = x
                while x < end and near[x]:
                    xs[n], ys[n], near[x] = np.float32(x) + HALF, np.float32(y) + HALF, False
                    n, x = n + 1, x + 1
                if x > begin:
                    runs[ran, 0], runs[ran, 1], runs[ran, 2] = y, begin, x
                    ran += 1
                x += 1
            if n > PILE or y + 1 == visits[m, 3]:
                cover(xs[:n], ys[:n], numbers[stroke], samples, line[:n], least[:n])
                n = 0
                for k in range(ran):
                    begin, end = runs[k, 1], runs[k, 2]
                    lay(canvas, item, runs[k, 0], begin, line[n : n + end - begin], colours[stroke], mix)
                    n += end - begin
                n = ran = 0


@loop
def sample(curve: Array, samples: Array) -> None:
    """Write x, y and the radius at SAMPLES points of a curve (9,)."""
    for k in range(SAMPLES):
        t = np.float32(k) / np.float32(SAMPLES - 1)
        samples[0, k] = (curve[0] * t + curve[2]) * t + curve[4]
        samples[1, k] = (curve[1] * t + curve[3]) * t + curve[5]
        samples[2, k] = curve[6] + (curve[7] - curve[6]) * t


@loop
def mark(near: Array, y: int, curve: Array, samples: Array) -> tuple[int, int]:
    """Mark the pixels of a row that the brush may reach, by the chords between samples. Returns their range."""
    strays = length(curve[0], curve[1]) / np.float32(4 * (SAMPLES - 1) ** 2)  # a curve from its chord
    centre, begin, stop = np.float32(y) + HALF, len(near), 0
    for k in range(SAMPLES - 1):
        reach = max(samples[2, k], samples[2, k + 1]) + strays + curve[8] / TWO
        low, high = reached(centre, samples[0, k], samples[1, k], samples[0, k + 1], samples[1, k + 1], reach)
        first, end = inside(low, high, len(near))
        near[first:end] = True
        if first < end:
            begin, stop = min(begin, first), max(stop, end)
    return begin, stop


@loop
def cover(xs: Array, ys: Array, curve: Array, samples: Array, line: Array, least: Array) -> None:
    """Write to ``line`` (n,) how much a curve covers of the pixels xs, ys; ``least`` (n,) is for its own use."""
    ax, ay, bx, by, px, py = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5]
    r0, taper, edge = curve[6], curve[7] - curve[6], curve[8]
    nearest(xs, ys, curve, samples, line, least)
    for i in range(len(xs)):
        t = line[i]
        dx, dy = px - xs[i] + bx * t + ax * (t * t), py - ys[i] + by * t + ay * (t * t)
        line[i] = covered(length(dx, dy) - (r0 + taper * t), edge)


@loop
def nearest(xs: Array, ys: Array, curve: Array, samples: Array, line: Array, least: Array) -> None:
    """Write to ``line`` (n,) the t of the circle of a curve with the least power distance to pixels xs, ys (n,)."""
    ax, ay, bx, by, px, py = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5]
    r0, taper, last = curve[6], curve[7] - curve[6], np.float32(SAMPLES - 1)
    least[:] = np.inf
    for k in range(SAMPLES):  # the line holds the number of the sample with the least power distance
        x, y = samples[0, k], samples[1, k]
        power, number = (x * x + y * y) - samples[2, k] * samples[2, k], np.float32(k)
        for i in range(len(xs)):
            value, before = power - TWO * (x * xs[i] + y * ys[i]), least[i]
            least[i] = value if value <= before else before
            line[i] = number if value <= before else line[i]
    for i in range(len(xs)):  # then its t
        line[i] = vertex(int(line[i]), xs[i], ys[i], samples) / last
    for i in range(len(xs)):
        t = min(max(line[i], ZERO), ONE)
        dx, dy = (ax * t + bx) * t + px - xs[i], (ay * t + by) * t + py - ys[i]
        vx, vy = TWO * ax * t + bx, TWO * ay * t + by
        slope = dx * vx + dy * vy - (r0 + taper * t) * taper
        curvature = vx * vx + vy * vy + TWO * (dx * ax + dy * ay) - taper * taper
        step = min(max(slope / max(curvature, np.float32(1e-6)), -HALF / last), HALF / last)
        line[i] = min(max(t - step, ZERO), ONE) if curvature > ZERO else t


@loop
def vertex(k: int, x: Number, y: Number, samples: Array) -> Number:
    """Where the parabola through the power distances around sample k has its vertex, in samples."""
    k = min(max(k, 1), SAMPLES - 2)
    left, centre, right = power(k - 1, x, y, samples), power(k, x, y, samples), power(k + 1, x, y, samples)
    bend = max(left - TWO * centre + right, np.float32(1e-12))
    return np.float32(k) + min(max(HALF * (left - right) / bend, -ONE), ONE)


@loop
def power(k: int, x: Number, y: Number, samples: Array) -> Number:
    """Power distance of a pixel to the circle at sample k, less ``|pixel|²``."""
    cx, cy, r = samples[0, k], samples[1, k], samples[2, k]
    return (cx * cx + cy * cy) - r * r - TWO * (cx * x + cy * y)


# --- smooth curves, with gradients: see renderers.smooth ---


@loop
def near_pixels(numbers: Array, height: int, width: int) -> Array:
    """How many pixels of a canvas each of some curves (N, 9) may reach, as of :func:`curves`: (N,) int64."""
    near, samples = np.zeros(width, np.bool_), np.empty((3, SAMPLES), np.float32)
    counts = np.zeros(len(numbers), np.int64)
    for m in range(len(numbers)):
        sample(numbers[m], samples)
        for y in range(height):
            x, end = mark(near, y, numbers[m], samples)
            for k in range(x, end):
                counts[m] += near[k]
                near[k] = False
    return counts


@loop
def smooth_curves(
    opacity: Array, numbers: Array, shades: Array, rate: Number, ends: Array, places: Array, ts: Array, inked: Array
) -> None:
    """Write opacities s(d) · (a0 + (a2 - a0) t) of curves to canvases of zeros; s: the logistic function of -d · rate.

    Args:
        opacity: (N, height, width), one for each curve.
        numbers: (N, 9), as of :func:`curves`; the edge is twice the distance at which opacity ends.
        shades: (N, 2), opacities a0 and a2 at both ends.
        rate: one over pixels.
        ends: (N + 1,), where in the next three those of each curve begin; at last, where they all end.
        places: (K,), written: which pixels a curve may reach, y · width + x.
        ts: (K,), written: their t.
        inked: (K,), written: their s.
    """
    height, width = opacity.shape[1], opacity.shape[2]
    near, samples = np.zeros(width, np.bool_), np.empty((3, SAMPLES), np.float32)
    most = np.int64(0)
    for m in range(len(numbers)):
        most = max(most, ends[m + 1] - ends[m])
    pile = np.empty((3, most), np.float32)
    for m in range(len(numbers)):
        curve, begin = numbers[m], ends[m]
        sample(curve, samples)
        n = 0
        for y in range(height):
            x, end = mark(near, y, curve, samples)
            for k in range(x, end):
                if near[k]:
                    pile[0, n], pile[1, n] = np.float32(k) + HALF, np.float32(y) + HALF
                    places[begin + n] = y * width + k
                    near[k], n = False, n + 1
        xs, ys, t, s = pile[0, :n], pile[1, :n], ts[begin : begin + n], inked[begin : begin + n]
        nearest(xs, ys, curve, samples, t, pile[2, :n])
        taper = curve[7] - curve[6]
        for i in range(n):
            dx = curve[4] - xs[i] + curve[2] * t[i] + curve[0] * (t[i] * t[i])
            dy = curve[5] - ys[i] + curve[3] * t[i] + curve[1] * (t[i] * t[i])
            s[i] = ONE / (ONE + np.exp((length(dx, dy) - (curve[6] + taper * t[i])) * rate))
        flat, first, more = opacity[m].reshape(-1), shades[m, 0], shades[m, 1] - shades[m, 0]
        for i in range(n):
            flat[places[begin + i]] = s[i] * (first + more * t[i])


@loop
def smooth_gradients(
    gradient: Array, numbers: Array, shades: Array, rate: Number, ends: Array, places: Array, ts: Array, inked: Array
) -> tuple[Array, Array]:
    """The gradients of the numbers (N, 8), without the edge, and of the shades (N, 2), of :func:`smooth_curves`.

    From that of its opacities (N, height, width). The t of the nearest circle needs none: see ``renderers.distances``.
    """
    width = gradient.shape[2]
    of_numbers, of_shades = np.zeros((len(numbers), 8), np.float32), np.zeros((len(numbers), 2), np.float32)
    for m in range(len(numbers)):
        curve, flat = numbers[m], gradient[m].reshape(-1)
        first, more = shades[m, 0], shades[m, 1] - shades[m, 0]
        ax = ay = bx = by = px = py = r0 = r2 = a0 = a2 = 0.0
        for i in range(ends[m], ends[m + 1]):
            place, t, s = places[i], ts[i], inked[i]
            dx = curve[4] - (np.float32(place % width) + HALF) + curve[2] * t + curve[0] * (t * t)
            dy = curve[5] - (np.float32(place // width) + HALF) + curve[3] * t + curve[1] * (t * t)
            g, square = flat[place] * s, dx * dx + dy * dy
            a0, a2 = a0 + g * (ONE - t), a2 + g * t
            g *= (first + more * t) * (s - ONE) * rate
            r0, r2 = r0 - g * (ONE - t), r2 - g * t
            if square >= TINY:
                size = np.sqrt(square)
                u, v = g * dx / size, g * dy / size
                ax, ay, bx, by = ax + u * (t * t), ay + v * (t * t), bx + u * t, by + v * t
                px, py = px + u, py + v
        row = of_numbers[m]
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7] = ax, ay, bx, by, px, py, r0, r2
        of_shades[m, 0], of_shades[m, 1] = a0, a2
    return of_numbers, of_shades
