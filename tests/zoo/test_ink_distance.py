"""The distance from curves to ink: against a slow, obvious version, and where there is little to measure."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

import renderers
import zoo
from datamodules import ink as inks
from datamodules.ink import Ink, measured
from zoo.base import ink_distance
from zoo.base.distance import Distance
from zoo.base.ink_distance import excess, points_on, precision, recall, spread, width_error


def page(size=32, **bars):
    """A dark page (1, 1, size, size) with light bars, each given by its slices."""
    image = torch.zeros(1, 1, size, size)
    for rows, columns in bars.values():
        image[0, 0, rows, columns] = 1
    return image


BAR = {"bar": (slice(10, 15), slice(4, 28))}
PAGES = {
    "blank": page(),
    "all ink": torch.ones(1, 1, 32, 32),
    "one pixel": page(dot=(slice(7, 8), slice(9, 10))),
    "two widths": page(thin=(slice(2, 3), slice(2, 30)), thick=(slice(12, 28), slice(3, 29))),
    "bar": page(**BAR),
}


# --- the ink of an image ---


def test_distances_are_those_of_a_slow_search():
    mask = torch.rand(2, 9, 11, generator=torch.Generator().manual_seed(0)) < 0.7
    found = inks.distances(mask.numpy())
    for one, inside in zip(found, mask, strict=True):
        outside = (~inside).nonzero().float()
        for y in range(9):
            for x in range(11):
                slow = (outside - torch.tensor([y, x])).norm(dim=1).min() if inside[y, x] else 0.0
                assert one[y, x] == pytest.approx(float(slow), abs=1e-5)


@pytest.mark.parametrize("width", [1, 3, 5, 9])
def test_a_bar_has_its_width_its_length_and_its_middle(width):
    image = page(64, bar=(slice(20, 20 + width), slice(4, 60)))
    ink = measured(image)
    assert float(ink.ink_width) == pytest.approx(width, rel=0.2)
    assert float(ink.ink_length) == pytest.approx(56, rel=0.2)
    assert ink.ridge[0, 0, 20 + width // 2, 10:54].all()
    if width > 1:
        assert not ink.ridge[0, 0, [20, 19 + width], 10:54].any()
    assert float(ink.ridge_distance[0, 0, 50, 32]) == pytest.approx(50 - 20 - width // 2, abs=1)


@pytest.mark.parametrize("name", PAGES)
def test_any_page_is_measured(name):
    ink = measured(PAGES[name])
    assert all(v.isfinite().all() for v in ink)
    assert 1 <= float(ink.ink_width) <= max(1, inks.WIDEST * 32)
    assert float(ink.ink_length) >= inks.SHORTEST
    assert bool(ink.ridge.any()) == (name != "blank")
    assert (ink.ridge_distance[ink.ridge] == 0).all()


def test_colour_counts_by_its_brightest_channel_and_what_is_drawn_is_left_out():
    image = PAGES["bar"]
    ink = measured(torch.cat([image * 0, image, image * 0.1], 1))
    for a, b in zip(ink, measured(image), strict=True):
        torch.testing.assert_close(a, b)
    left = ink.without(page(half=(slice(0, 32), slice(0, 16))))
    assert not left.ridge[..., :16].any()
    assert left.ridge[..., 16:].any()
    torch.testing.assert_close(left.ridge_distance, ink.ridge_distance)


def test_a_batch_without_measures_is_refused():
    with pytest.raises(ValueError, match=r"--data\.ridges true"):
        Ink.of({"image": torch.zeros(1, 1, 8, 8)})


# --- the distance ---


def bilinear(field, x, y):
    """A field at a place in pixels, whose pixel centres lie at halves; beyond the border, as at it."""
    height, width = field.shape
    x, y = min(max(x - 0.5, 0), width - 1), min(max(y - 0.5, 0), height - 1)
    x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
    u, v = x - x0, y - y0
    top = field[y0, x0] * (1 - u) + field[y0, x0 + 1] * u
    return top * (1 - v) + (field[y0 + 1, x0] * (1 - u) + field[y0 + 1, x0 + 1] * u) * v


@pytest.mark.parametrize("sigma", [16.0, 4.0, 1.0])
def test_every_term_is_that_of_a_slow_version(sigma, monkeypatch):
    monkeypatch.setattr(ink_distance, "PLACES", 20)
    image = torch.cat([PAGES["bar"], PAGES["two widths"]])
    ink = measured(image)
    generator = torch.Generator().manual_seed(1)
    curves, widths = torch.rand(2, 3, 3, 2, generator=generator) * 32, torch.rand(2, 3, generator=generator) * 9
    torch.manual_seed(2)
    points = points_on(curves)
    off, long, wide = precision(points, ink, sigma), excess(points, ink, 0.5), width_error(widths, ink)
    torch.manual_seed(3)
    missed = recall(points, ink, sigma)
    torch.manual_seed(3)
    at = torch.multinomial(ink.ridge.flatten(1).float() + 1e-6, 20, replacement=True)
    shift = torch.rand(2, 20, 2)
    rho = lambda d: sigma * math.log(1 + d / sigma)  # noqa: E731
    tau = min(1, max(0.2, sigma / 8))
    for b in range(2):
        field, p = ink.ridge_distance[b, 0].tolist(), points[b].tolist()
        field = np.array(field)
        cost = total = 0.0
        for stroke in p:
            for a, c in pairwise(stroke):
                piece = math.dist(a, c)
                total += piece
                cost += piece * (rho(bilinear(field, *a)) + rho(bilinear(field, *c))) / 2
        length = float(ink.ink_length[b])
        assert float(off[b]) == pytest.approx(cost / length, rel=1e-3)
        assert float(long[b]) == pytest.approx(max(0, total / length - 0.5), rel=1e-3)
        assert float(wide[b]) == pytest.approx(
            sum((w - float(ink.ink_width[b])) ** 2 for w in widths[b].tolist()) / 3, rel=1e-4
        )
        sums = []
        for number, (dx, dy) in zip(at[b].tolist(), shift[b].tolist(), strict=True):
            place = number % 32 + dx, number // 32 + dy
            costs = []
            for stroke in p:
                d = math.sqrt(min(math.dist(place, point) ** 2 for point in stroke) + 0.25)
                costs.append(rho(max(0, d - 0.5) + 0.1 * d))
            sums.append(-tau * math.log(sum(math.exp(-c / tau) for c in costs)))
        assert float(missed[b]) == pytest.approx(sum(sums) / 20, rel=1e-3, abs=1e-3)


def test_spread_is_the_distance_near_by_and_its_logarithm_far_away():
    d = torch.tensor([0.0, 0.01, 1000.0])
    torch.testing.assert_close(spread(d, 2.0), torch.tensor([0.0, 0.01, 2 * math.log(501)]), atol=1e-4, rtol=1e-4)


def test_points_keep_to_the_curve_in_order_with_both_ends():
    curves = torch.rand(2, 3, 3, 2)
    points = points_on(curves, 9)
    torch.testing.assert_close(points[:, :, 0], curves[:, :, 0])
    torch.testing.assert_close(points[:, :, -1], curves[:, :, 2])
    straight = torch.tensor([[[[0.0, 0.0], [0.5, 0.0], [1.0, 0.0]]]])
    x = points_on(straight, 9)[0, 0, :, 0]
    assert (x.diff() > 0).all()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("where", ["anywhere", "in one point"])
def test_gradients_are_finite_and_reach_every_stroke(name, where):
    renderer = renderers.get("bezier-width")
    strokes = renderer.actions.random(1, 4, generator=torch.Generator().manual_seed(0))
    if where == "in one point":
        strokes[..., :6] = 0.5
    strokes.requires_grad_()
    for progress in (0.0, 0.84, 0.99):
        loss, off, missed = Distance(share=0.85).loss(renderer, strokes, measured(PAGES[name]), progress)
        assert all(v.isfinite() for v in (loss, off, missed))
        (gradient,) = torch.autograd.grad(loss, strokes)
        assert gradient.isfinite().all()
    if where == "anywhere" and name in ("bar", "two widths"):
        assert (gradient[..., :6].abs().amax(-1) > 0).all()


def test_it_falls_where_a_curve_comes_nearer_and_a_blank_page_asks_for_short_curves():
    ink = measured(PAGES["bar"])

    def cost(y):
        torch.manual_seed(0)
        points = points_on(torch.tensor([[[[4.0, y], [16.0, y], [28.0, y]]]]))
        return float(precision(points, ink, 8.0) + recall(points, ink, 8.0))

    assert cost(12.5) < cost(16) < cost(22) < cost(30)
    blank = measured(PAGES["blank"])
    long, short = (torch.tensor([[[[4.0, 4.0], [x, 4.0], [x, 4.0]]]]) for x in (28.0, 5.0))
    assert float(excess(points_on(long), blank)) > float(excess(points_on(short), blank)) == 0
    assert float(recall(points_on(long), blank, 4.0)) == float(precision(points_on(long), blank, 4.0)) == 0


def test_autocast_does_not_round_places_in_pixels():
    """In bfloat16 the points of a short stroke are one place, and it would never learn to grow."""
    renderer, ink = renderers.get("bezier-width"), measured(PAGES["bar"])
    strokes = renderer.actions.random(1, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradients = []
    for mixed in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss, _, _ = Distance().loss(renderer, strokes, ink, 0.5)
        gradients.append(torch.autograd.grad(loss, strokes)[0])
    torch.testing.assert_close(*gradients)


# --- which renderers have curves ---


@pytest.mark.parametrize(
    "name", ["bezier", "bezier-width-lab", "qbc", "qbc-opaque", "pen", "pen-width", "line", "mypaint"]
)
def test_curves_and_widths_are_those_of_the_outlines(name):
    renderer = renderers.get(name)
    strokes = renderer.actions.random(5, generator=torch.Generator().manual_seed(0))
    curves, widths = renderer.curves(strokes), renderer.widths(strokes)
    assert curves.shape == (5, 3, 2)
    for k, stroke in enumerate(strokes):
        (outline,) = renderer.outlines(stroke[None])
        (curve,) = outline.curves()
        np.testing.assert_allclose(curves[k].numpy(), curve, atol=1e-5)
        assert float(widths[k]) == pytest.approx(sum(outline.widths) / 2, abs=1e-5)


@pytest.mark.parametrize("name", ["circle", "triangle", "rectangle", "prism"])
def test_shapes_have_none_and_a_drawer_of_them_says_so(name):
    with pytest.raises(ValueError, match=f"{name}' has no curves"):
        renderers.get(name).curves(renderers.get(name).actions.random(1))
    with pytest.raises(ValueError, match="has no curves"):
        zoo.CanvasDrawer(name, image_size=16, distance={})
