"""Strokes are moved by gradients, and those that do not help are dropped."""

import numpy as np
import pytest
import torch
from PIL import Image

import renderers
import zoo
from zoo.base.refine import descend, helpful, painted, refined


@pytest.fixture
def scene():
    """Three images of two curves each, and the same curves, shifted."""
    generator = torch.Generator().manual_seed(3)
    exact = renderers.get("bezier-width")
    strokes = 0.2 + 0.6 * exact.actions.random(3, 2, generator=generator)
    target = exact.render(strokes, 32)
    shifted = (strokes + 0.06 * torch.randn(strokes.shape, generator=generator)).clamp(0, 1)
    return exact, renderers.get("bezier-width", differentiable=True), exact.blank(3, 32), shifted, target


def test_the_error_falls_and_each_image_moves_as_it_would_alone(scene):
    exact, smooth, blank, strokes, target = scene
    errors = []
    moved = descend(smooth, blank, strokes, target, 30, watch=lambda step, error, best: errors.append(error))
    assert len(errors) == 31
    before, after = ((exact.render(s, 32) - target).square().mean((1, 2, 3)) for s in (strokes, moved))
    assert (after < 0.5 * before).all()
    assert moved.min() >= 0
    assert moved.max() <= 1
    alone = torch.cat([descend(smooth, blank[:1], s[None], t[None], 30) for s, t in zip(strokes, target, strict=True)])
    torch.testing.assert_close(moved, alone, atol=2e-4, rtol=0)


def test_no_steps_move_nothing(scene):
    _, smooth, blank, strokes, target = scene
    assert torch.equal(descend(smooth, blank, strokes, target, 0), strokes)


def test_a_stroke_keeps_the_least_thickness(scene):
    _, smooth, blank, strokes, target = scene
    strokes[..., 6] = 0.02
    moved = descend(smooth, blank, strokes, torch.zeros_like(target), 20, least={"thickness": 0.12})
    assert moved[..., 6].min() >= 0.12 or torch.equal(moved, strokes)
    free = descend(smooth, blank, strokes.clamp(min=0.3), torch.zeros_like(target), 40)
    assert free[..., 6].min() < 0.12  # without the least, ink that is not wanted thins out


def test_what_helps_is_found_as_by_painting_one_by_one(scene):
    exact, _, blank, strokes, target = scene
    useless = torch.zeros(3, 1, 7)  # a dot in a corner
    useless[..., 6] = 0.5
    mixed = torch.cat([strokes[:, :1], useless, strokes[:, 1:], strokes[:, 1:]], 1)
    mask = torch.tensor([[True] * 4, [True] * 4, [False, True, True, True]])
    kept, canvas = helpful(exact, blank, mixed, target, mask)
    for i in range(3):
        slow, expected = blank[i : i + 1], []
        for t in range(4):
            after = exact.paint(slow, mixed[i : i + 1, t])
            gain = ((slow - target[i]) ** 2).sum() - ((after - target[i]) ** 2).sum()
            expected.append(bool(gain > 0.5 and mask[i, t]))
            slow = after if expected[-1] else slow
        assert kept[i].tolist() == expected
        torch.testing.assert_close(canvas[i : i + 1], slow)
    assert not kept[:, 1].any()  # the dot
    assert not kept[:, 3].any()  # what is there already
    assert not kept[2, 0]  # masked
    assert kept[:2, 0].all()


def test_images_of_different_numbers_of_strokes(scene):
    exact, smooth, blank, strokes, target = scene
    rows, canvas = refined(exact, smooth, blank, [strokes[0], strokes[1, :1], strokes[2, :0]], target, 5)
    assert [len(r) for r in rows] == [2, 1, 0]
    for i, row in enumerate(rows):
        torch.testing.assert_close(canvas[i : i + 1], painted(exact, blank[:1], row[None]))
    none, canvas = refined(exact, smooth, blank, [strokes[0, :0]] * 3, target, 5)
    assert [len(r) for r in none] == [0, 0, 0]
    assert torch.equal(canvas, blank)


@pytest.mark.parametrize("picture", ["blank", "full", "dot"])
def test_targets_without_a_drawing(scene, picture):
    """Nothing is divided by nothing: numbers stay finite, and a blank page keeps no stroke."""
    exact, smooth, blank, strokes, target = scene
    target = torch.full_like(target, float(picture == "full"))
    if picture == "dot":
        target[..., 16, 16] = 1
    rows, canvas = refined(exact, smooth, blank, list(strokes), target, 5)
    assert canvas.isfinite().all()
    assert all(r.isfinite().all() for r in rows)
    if picture == "blank":
        assert sum(map(len, rows)) == 0


def test_drawing_with_refinement(tmp_path, digit):
    """A checkpoint draws closer to the digit, by as many strokes at most."""
    model = zoo.load("canvas-drawer-mnist")
    path = tmp_path / "digit.png"
    Image.fromarray(digit).save(path)
    target = torch.from_numpy(np.asarray(Image.open(path).resize((64, 64), Image.Resampling.BILINEAR)) / 255).float()
    plain, moved = (model.draw(path, ink="light", refine=n) for n in (0, 20))
    before, after = ((d.render(64)[0] - target).square().mean().item() for d in (plain, moved))
    assert after < before
    assert len(moved) <= len(plain)


def test_windows_and_tiles_with_refinement():
    """A sliding drawer, and tiles of one that looks at the whole, are refined in batches."""
    image = torch.zeros(1, 96, 128)
    image[:, 40:44, 10:120] = 1
    for name, options in (("canvas-drawer-sketches", {}), ("canvas-drawer-mnist", {"tiles": 2})):
        model = zoo.load(name)
        plain, moved = (model.draw(image, ink="light", refine=n, **options) for n in (0, 30))
        before, after = ((d.render(128) - image).square().mean().item() for d in (plain, moved))
        assert after < before
        assert 0 < len(moved) <= len(plain)


def test_polylines_stay_joined():
    """A sketch's pen moves as a whole: where a segment began at another's end, it still does."""
    model = zoo.load("sketchrnn-kanji")
    strokes = torch.tensor([[0.2, 0.2, 0.5, 0.3], [0.5, 0.3, 0.8, 0.2], [0.3, 0.7, 0.7, 0.7]])
    target = model.exact.render(strokes[None] + torch.tensor([0.0, 0.006, 0.0, 0.006]), model.image_size)
    (moved,) = model.refined(1 - target, [strokes], 15)
    assert len(moved) == 3
    assert torch.equal(moved[0, 2:], moved[1, :2])
    assert not torch.equal(moved[1, 2:], moved[2, :2])
    before, after = ((model.exact.render(s[None], 256) - target).square().mean() for s in (strokes, moved))
    assert after < 0.7 * before


def test_a_number_of_steps_that_cannot_be():
    model = zoo.load("canvas-drawer-mnist")
    with pytest.raises(ValueError, match="refine is -1; expected 0 to"):
        model.draw(torch.zeros(1, 16, 16), refine=-1)
