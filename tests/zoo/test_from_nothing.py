"""Painting by optimisation alone, with every renderer that has gradients or a painter."""

import pytest
import torch

import renderers
import zoo
from zoo.base.from_nothing import MOST_STROKES, started, wanted
from zoo.cli import main as cli


@pytest.fixture
def picture():
    """A red disc, and a darker bar, on light grey: (3, 48, 64)."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    image = torch.full((3, 48, 64), 0.9)
    image[:, ((x - 20) ** 2 + (y - 24) ** 2) < 140] = torch.tensor([0.9, 0.2, 0.1])[:, None]
    image[:, 10:40, 48:54] = 0.15
    return image


def smooth_renderers():
    def has_gradients(name):
        try:
            return bool(renderers.get(name, differentiable=True))
        except ValueError:
            return False

    return [name for name in renderers.names() if has_gradients(name)]


@pytest.mark.parametrize("renderer", smooth_renderers())
def test_every_renderer_paints(picture, renderer):
    """The painting is nearer to the picture than blank paper, by at most so many strokes, and keeps the aspect."""
    drawing = zoo.paint(picture, renderer, strokes=12, size=32, steps=6)
    exact = renderers.get(renderer)
    assert 0 < len(drawing) <= 12
    assert drawing.aspect == pytest.approx(64 / 48)
    target = torch.nn.functional.interpolate(wanted(picture, exact, "auto"), (24, 32), mode="area")
    blank = (exact.blank(1, (24, 32)) - target).square().mean()
    assert (exact.render(drawing.strokes[None], (24, 32)) - target).square().mean() < 0.9 * blank


def test_it_follows_from_the_seed(picture):
    first, again, other = (zoo.paint(picture, "qbc", 6, size=24, steps=3, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_strokes_begin_where_the_error_is_in_its_colour(picture):
    exact = renderers.get("qbc")
    target = picture[None]
    canvas = target.clone()
    canvas[..., 10:40, 48:54] = 1.0  # only the bar is wrong
    strokes = started(exact, canvas, target, 40, 0.02, torch.Generator().manual_seed(0))[0]
    start = exact.actions.select(strokes, "x0 y0")
    assert ((start[:, 0] * 64 > 44) & (start[:, 0] * 64 < 58)).all()
    assert ((start[:, 1] * 48 > 6) & (start[:, 1] * 48 < 44)).all()
    colours = exact.actions.select(strokes, "red green blue")
    assert (colours == 0.15).all(1).float().mean() > 0.5


def test_it_is_watched_and_an_interruption_keeps_the_best_so_far(picture):
    seen = []

    def watch(done, drawing):
        seen.append((done, len(drawing)))
        if len(seen) == 8:
            raise KeyboardInterrupt

    drawing = zoo.paint(picture, "circle", 20, size=24, steps=4, watch=watch)
    assert [done for done, _ in seen] == [step / 20 for step in range(8)]
    assert seen[0][1] < seen[-1][1] <= 6  # those of one stage, those of two
    assert 0 < len(drawing) <= 6  # those of two stages


def test_painters_stand_in_where_there_is_no_smooth_form(picture, monkeypatch):
    """MyPaint's strokes move through its first painter of the list; the real program decides which of them help."""
    from zoo.base import from_nothing

    assert from_nothing.painter_of("mypaint").name == "mypaint"
    assert type(from_nothing.painter_of("mypaint")).__name__ == "NeuralPainterGAN"
    assert type(from_nothing.painter_of("qbc", "sara-renderer-qbc")).__name__ == "NeuralRenderer"
    with pytest.raises(ValueError, match="'sara-renderer-qbc' does not paint strokes of 'circle'"):
        zoo.paint(picture, "circle", painter="sara-renderer-qbc")
    with pytest.raises(ValueError, match="No painter of 'mypaint-discrete' is known"):
        zoo.paint(picture, "mypaint-discrete")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strokes": 0}, "strokes is 0; expected 1 to"),
        (
            {"strokes": 10**6},
            r"strokes is 1,000,000; expected 1 to 5,000: 1,000,000 would take about [\d,]+ hours here",
        ),
        ({"strokes": MOST_STROKES + 1}, "expected 1 to 5,000"),
        ({"size": 4}, "size is 4; expected 16 to 512"),
        ({"steps": 0}, "steps is 0"),
        ({"renderer": "qbd"}, "did you mean 'qbc'"),
        ({"ink": "blue", "renderer": "pen"}, "ink is 'blue'"),
    ],
)
def test_what_cannot_be_painted(picture, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.paint(picture, **({"renderer": "qbc"} | options))


def test_the_command(picture, tmp_path, capsys):
    from renderers.export.png import to_image

    to_image(picture).save(tmp_path / "a.png")
    args = [
        "paint",
        str(tmp_path / "a.png"),
        "--renderer",
        "circle",
        "--strokes",
        "5",
        "--steps",
        "2",
        "--detail",
        "24",
    ]
    assert cli.main([*args, "--out", str(tmp_path / "a.json")]) == 0
    drawing = renderers.Drawing.load(tmp_path / "a.json")
    assert (drawing.renderer, len(drawing)) == ("circle", int(capsys.readouterr().out.split()[-2]))
    assert cli.main([*args, "--strokes", "0", "--out", str(tmp_path / "b.svg")]) == 1
    assert "strokes is 0; expected 1 to 5,000" in capsys.readouterr().err
    assert not (tmp_path / "b.svg").exists()
