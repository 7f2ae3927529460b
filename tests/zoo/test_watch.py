"""Every drawer tells how far it has come, and what is there so far; what its watcher raises ends it."""

import pytest
import torch

import zoo


class StopError(Exception):
    pass


CASES = [
    ("sara-mnist", {"strokes": 10}),
    ("sara-celeba", {"strokes": 10, "tiles": 2}),
    ("sara-celeba", {"strokes": 5, "refine": 2}),
    ("canvas-drawer-mnist", {"tiles": 2, "ink": "light"}),
    ("canvas-drawer-mnist", {"refine": 2, "ink": "light"}),
    ("canvas-drawer-sketches", {"ink": "light"}),
    ("canvas-drawer-sketches", {"ink": "light", "refine": 1}),
    ("sketchrnn-kanji", {"ink": "light"}),
]


@pytest.fixture
def picture():
    image = torch.zeros(3, 48, 48)
    image[:, 8:40, 20:28] = 1
    image[:, 8:14, 8:40] = 1
    return image


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_drawing_is_watched(name, options, picture):
    model, seen = zoo.load(name), []
    torch.manual_seed(0)
    drawing = model.draw(picture, watch=lambda done, so_far: seen.append((done, so_far)), **options)
    shares = [done for done, _ in seen]
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert shares[-1] == pytest.approx(1)
    assert seen[-1][1] == drawing
    torch.manual_seed(0)
    assert len(drawing)
    assert model.draw(picture, **options) == drawing


@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_the_watcher_raises_ends_the_drawing(name, options, picture):
    calls = []

    def watch(done, drawing):
        calls.append(done)
        raise StopError

    with pytest.raises(StopError):
        zoo.load(name).draw(picture, watch=watch, **options)
    assert len(calls) == 1
