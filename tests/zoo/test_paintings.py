"""Paintings for classifiers, and their commands. On strokes of qbc, so that MyPaint is not needed."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_files import has_mypaint
from tiny_painters import gan
from torch import nn

import renderers
import zoo
from datamodules.base import DataError
from renderers import Drawing
from zoo.checkpoints import loading
from zoo.cli import main as cli
from zoo.neural_painter import classifiers, paintings
from zoo.neural_painter.networks import SIDE

installed = pytest.mark.skipif(not has_mypaint(), reason="needs libmypaint and its brushes")


# --- classifiers ---


class Tiny(nn.Module):
    """A classifier that sees how red, green and blue a picture is."""

    def __init__(self, classes=1000):
        super().__init__()
        self.features = nn.Conv2d(3, classes, 8, 16)
        self.classes = classes

    def forward(self, x):
        return 9 * self.features(x).mean((2, 3))


def test_squeezenet_has_the_shape_of_torchvisions():
    model = classifiers.SqueezeNet()
    state = model.state_dict()
    assert len(state) == 52
    assert state["features.12.expand3x3.weight"].shape == (256, 64, 3, 3)
    assert sum(v.numel() for v in state.values()) == 1_235_496  # as torchvision states
    assert model(torch.rand(1, 3, 224, 224)).shape == (1, 1000)


@pytest.mark.realdata
def test_squeezenet_knows_a_cat():
    from zoo.base.images import read

    model = classifiers.squeezenet()
    seen = classifiers.judge(
        model, read("sample:chelsea", 3)[0], [classifiers.class_number(n) for n in ("tabby", "egyptian cat", "violin")]
    )
    assert min(s["rank"] for s in seen[:2]) <= 3
    assert seen[2]["rank"] > 50


def test_weights_of_a_classifier(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    (tmp_path / "classifiers").mkdir()
    torch.manual_seed(0)
    right = classifiers.SqueezeNet().state_dict()
    path = tmp_path / "classifiers" / "squeezenet1_1.safetensors"
    save_file({k: v for k, v in right.items() if k != "features.0.bias"}, path)
    with pytest.raises(DataError, match=r"squeezenet1_1\.safetensors does not hold the weights"):
        classifiers.squeezenet()
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"squeezenet1_1\.safetensors does not hold the weights"):
        classifiers.squeezenet()
    path.unlink()
    official = tmp_path / "classifiers" / "squeezenet1_1-b8a52dc0.pth"
    torch.save(right, official)
    assert torch.equal(classifiers.squeezenet().state_dict()["features.0.bias"], right["features.0.bias"])
    torch.save(Tiny(), official)  # would have to be unpickled
    with pytest.raises(DataError, match="does not hold the weights"):
        classifiers.squeezenet()
    official.unlink()
    monkeypatch.setattr(classifiers, "ADDRESS", "http://127.0.0.1:9/squeezenet1_1-b8a52dc0.pth")
    with pytest.raises(DataError, match=r"could not download .* put the file at"):
        classifiers.squeezenet()


def test_the_official_file_is_checked(tmp_path, monkeypatch):
    (tmp_path / "other.pth").write_bytes(b"x" * 1000)
    monkeypatch.setattr(classifiers, "fetch_official", classifiers.fetch_official)
    from datamodules.base import Remote, download

    with pytest.raises(DataError, match="expected 1000 bytes with " + classifiers.SHA256):
        download(Remote(((tmp_path / "other.pth").as_uri(),), 1000, classifiers.SHA256), tmp_path / "w.pth")
    assert not (tmp_path / "w.pth").exists()


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (Tiny(7), r"scores \(B, 1000\); Tiny gave \(1, 7\)"),
        ("resnet1", "no classifier 'resnet1': there is squeezenet1_1|resnet1"),
        ("squeezenet1_1@half", "'squeezenet1_1@half' is not NAME@PIXELS, such as squeezenet1_1@112"),
    ],
)
def test_wrong_classifiers(which, message):
    with pytest.raises((ValueError, KeyError), match=message):
        classifiers.classifier(which)


def test_a_classifier_that_sees_less(monkeypatch):
    sharp = Tiny()
    monkeypatch.setattr(classifiers, "squeezenet", lambda: sharp)
    blurred = classifiers.classifier("squeezenet1_1@56")
    pictures = torch.rand(2, 3, 224, 224)
    small = F.interpolate(pictures, (56, 56), mode="bilinear", antialias=True)
    torch.testing.assert_close(blurred(pictures), sharp(F.interpolate(small, (224, 224), mode="bilinear")))
    assert blurred(pictures).shape == (2, 1000)
    with pytest.raises(ValueError, match="pictures of 8 pixels; expected 16 to 224"):
        classifiers.classifier("squeezenet1_1@8")


def test_classes_by_name():
    assert len(classifiers.labels()) == len(set(classifiers.labels())) == 1000
    assert (
        classifiers.class_number("Pineapple") == classifiers.class_number("953") == classifiers.class_number(953) == 953
    )
    assert classifiers.class_number("great_white_shark") == 2
    with pytest.raises(ValueError, match=r"no class 'pinaple' \(did you mean 'pineapple'\?\)"):
        classifiers.class_number("pinaple")
    with pytest.raises(ValueError, match="0 to 999, not 1000"):
        classifiers.class_number(1000)
    with pytest.raises(ValueError, match=r"no layer 'feature' \(did you mean 'features'\?\)"):
        classifiers.Features(Tiny(), "feature")


# --- paintings ---


def pictures_agree(painting):
    """The picture of a grid's strokes, painted one after the other by the painter on the whole canvas."""
    cells = painting.cells
    canvas = painting.painter.blank(1, (cells.height, cells.width))
    numbers = torch.arange(cells.rows * cells.columns).view(cells.rows, cells.columns)
    for action in painting.strokes():
        for group in cells.groups():
            for k in numbers[group].flatten().tolist():
                y, x = (v * cells.stride for v in divmod(k, cells.columns))
                part = canvas[:, :, y : y + SIDE, x : x + SIDE]
                canvas[:, :, y : y + SIDE, x : x + SIDE] = painting.painter.paint(part.clone(), action[k : k + 1])
    return canvas


@pytest.mark.parametrize(("rows", "columns", "overlap"), [(1, 1, 32), (3, 2, 32), (2, 3, 0), (3, 3, 48), (2, 2, 20)])
@torch.no_grad()
def test_a_grid_is_painted_stroke_by_stroke(rows, columns, overlap):
    painting = paintings.Painting(gan(), rows, columns, 2, overlap)
    numbers = torch.arange(rows * columns).view(rows, columns)
    assert sorted(torch.cat([numbers[g].flatten() for g in painting.cells.groups()])) == list(range(rows * columns))
    torch.testing.assert_close(painting(), pictures_agree(painting), atol=1e-5, rtol=0)


@torch.no_grad()
def test_its_drawing_is_the_same_strokes():
    """Of qbc's own strokes instead of a painter's imitation: the drawing looks like the grid."""
    painting = paintings.Painting(gan(), 2, 2, 3, 32)
    exact = renderers.get("qbc")
    painting.painter.ink = lambda action: exact.stamped(action, SIDE, SIDE)
    drawing = painting.drawing()
    assert len(drawing) == 12
    assert painting().mean() > 0.1
    assert (drawing.render(96) - painting()[0]).abs().mean() < 0.04


def test_the_real_program_may_be_shown_with_the_gradients_of_the_painter():
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    dream, real = (
        paintings.Painting(gan(), 1, 2, 3, 32, real=r, generator=g)
        for r, g in zip((False, True), generators, strict=True)
    )
    drawing = real.drawing()
    torch.testing.assert_close(real(), drawing.exact().render(drawing.strokes[None], (64, 96)))
    weight = torch.rand(1, 3, 64, 96)
    for painting in (dream, real):
        (painting() * weight).sum().backward()
    torch.testing.assert_close(dream.z.grad, real.z.grad)


def test_a_large_grid_has_the_same_gradients(monkeypatch):
    gradients = []
    for at_once in (128, 1):
        monkeypatch.setattr(paintings, "AT_ONCE", at_once)
        painting = paintings.Painting(gan(), 2, 2, 2, 32, generator=torch.Generator().manual_seed(0))
        painting().square().mean().backward()
        gradients.append(painting.z.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("palette", [None, "grey", [[1, 0, 0], [0, 0, 1]]])
def test_palettes(palette):
    painting = paintings.Painting(gan(), strokes=6, palette=palette)
    colours = painting.drawing().strokes[:, -3:]
    if palette == "grey":
        assert (colours == colours[:, :1]).all()
    elif palette:
        assert {tuple(c) for c in colours.tolist()} <= {(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)}
    painting().mean().backward()
    assert painting.z.grad[..., :6].any()
    assert palette is None or painting.choice.grad.any()


@pytest.mark.parametrize("bad", ["sepia", [], [[1, 2, 3]], [[0.5]]])
def test_wrong_palettes(bad):
    with pytest.raises(ValueError, match="palette"):
        paintings.Painting(gan(), palette=bad)


@pytest.mark.parametrize("bad", [{"strokes": 0}, {"overlap": 64}, {"rows": 0}, {"rows": 1000, "columns": 1000}])
def test_wrong_grids(bad):
    with pytest.raises(ValueError, match="expected 1 to"):
        paintings.Painting(gan(), **bad)


def red_classifier():
    """Class 953 is red, all others are as likely."""
    model = Tiny()
    with torch.no_grad():
        model.features.weight.zero_()
        model.features.bias.zero_()
        model.features.weight[953] = torch.tensor([2.0, -2.0, -2.0])[:, None, None] / 64
    return model


def test_visualize_finds_what_the_classifier_wants():
    model, seen = red_classifier(), []
    options = {"strokes": 4, "steps": 40, "lr": 0.1, "watch": lambda step, loss, painting: seen.append(loss)}
    drawing = zoo.visualize("pineapple", gan(), [model, model], **options)
    assert len(drawing) == 4
    assert seen[-1] < seen[0]
    again = zoo.visualize(953, gan(), [model, model], **options)
    assert again == drawing
    picture = gan().render(drawing.strokes[None], 64)[0]
    assert picture[0].mean() > picture[2].mean() + 0.01
    with pytest.raises(ValueError, match="at least one class"):
        zoo.visualize([], gan(), [model])
    with pytest.raises(ValueError, match="needs a neural painter"):
        zoo.visualize(953, zoo.CanvasNetwork("qbc", width=4, layers=1, maximum=False), [model])


def test_ctrl_c_keeps_the_best_so_far():
    def stop(step, loss, painting):
        if step == 15:
            raise KeyboardInterrupt

    drawing = zoo.visualize(953, gan(), [red_classifier()], strokes=2, steps=1000, watch=stop)
    assert len(drawing) == 2


def test_ctrl_c_ends_all_levels(digit):
    seen = []

    def stop(step, loss, painting):
        seen.append(step)
        if step == 15:  # in the second level
            raise KeyboardInterrupt

    options = {"layer": "features", "size": 192, "steps": 12, "levels": 3, "strokes": 2}
    drawing = zoo.stylize(np.stack([digit] * 3, -1), gan(), red_classifier(), watch=stop, **options)
    assert seen == list(range(16))
    assert len(drawing) > 0


@pytest.mark.parametrize("bad", [{"steps": 0}, {"lr": 0.0}, {"lr": math.inf}])
def test_wrong_optimisations(bad):
    with pytest.raises(ValueError, match="expected 1 to 100,000 steps and a rate"):
        zoo.visualize(953, gan(), [red_classifier()], **bad)


def test_stylize_paints_any_aspect(digit):
    wide = np.stack([np.pad(digit, ((0, 0), (0, 28)))] * 3, -1)
    seen = []
    watch = lambda step, loss, painting: seen.append((loss, painting.cells.height, painting.cells.width))  # noqa: E731
    options = {"layer": "features", "size": 128, "strokes": 3, "steps": 60, "lr": 0.1, "levels": 1, "tone": 0.0}
    drawing = zoo.stylize(wide, gan(), red_classifier(), watch=watch, **options)
    assert drawing.aspect == 2.0
    assert seen[0][1:] == (64, 128)
    assert len(drawing) == 9
    assert seen[-1][0] < seen[0][0]
    for bad in ({"levels": 0}, {"levels": 9}, {"tone": -1.0}, {"tone": math.inf}, {"tone": math.nan}):
        with pytest.raises(ValueError, match="expected 1 to 8 levels, and a tone"):
            zoo.stylize(wide, gan(), red_classifier(), layer="features", **bad)
    for bad in ({"size": 63}, {"size": 5000}, {"overlap": 64}):
        with pytest.raises(ValueError, match="expected 64 to 4096 pixels"):
            zoo.stylize(wide, gan(), red_classifier(), layer="features", **bad)


@pytest.mark.parametrize("palette", [None, [[1, 1, 1], [0, 0, 0]]])
def test_stylize_goes_from_coarse_to_fine(palette):
    """Each level begins on what the ones before it painted; light and shade come out right."""
    picture, seen = np.full((96, 192, 3), 255, np.uint8), []
    picture[:, :96] = 0
    options = {"layer": "features", "size": 192, "steps": 12, "levels": 3, "strokes": 4, "palette": palette}
    watch = lambda step, loss, now: seen.append((step, now.cells.width, len(now.drawing())))  # noqa: E731
    drawing = zoo.stylize(picture, gan(), red_classifier(), watch=watch, **options)
    assert [step for step, *_ in seen] == list(range(36))
    widths = [width for _, width, _ in seen[::12]]
    assert widths == sorted(set(widths))
    assert widths[-1] == 192
    counts = [count for *_, count in seen]
    assert counts == sorted(counts)
    assert counts[-1] == len(drawing)
    if palette:
        assert {tuple(c) for c in drawing.strokes[:, -3:].tolist()} <= {(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)}
    shown = renderers.get("qbc").render(drawing.strokes[None], (96, 192))[0]
    assert shown[..., 96:].mean() > shown[..., :96].mean() + 0.1


@torch.no_grad()
def test_strokes_begin_where_they_lack():
    painting = paintings.Painting(gan(), 2, 2, 8, 32, generator=torch.Generator().manual_seed(0))
    target = painting.paper.clone()
    target[..., :48, :48] = 1 - target[..., :48, :48]  # one corner differs
    painting.place(target, torch.Generator().manual_seed(0))
    strokes = painting.strokes()[:, 0]
    actions = painting.painter.actions
    assert (strokes[:, [actions[actions.xs[0]], actions[actions.ys[0]]]] < 0.8).all()
    torch.testing.assert_close(strokes[:, -3:], target[0, :, 0, 0].expand(8, 3).clamp(0.02, 0.98))


@torch.no_grad()
def test_what_lies_beneath_is_kept():
    beneath = paintings.Painting(gan(), 1, 2, 3, 32)
    for real in (False, True):
        above = paintings.Painting(gan(), 2, 3, 1, 32, real=real, beneath=beneath)
        assert len(above.drawing()) == 6 + 6
        assert torch.equal(above.drawing().strokes[:6], beneath.drawing().strokes)
    exact = renderers.get("qbc")
    torch.testing.assert_close(above.paper, exact.render(beneath.drawing().strokes[None], (96, 128)))


def test_views_of_a_picture():
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(paintings.varied(picture, 1, 0, 0, 0, (64, 64)), picture, atol=1e-4, rtol=0)
    both = paintings.varied(torch.cat([picture, picture]), 3, 8, 20, 0.1, (64, 64))
    assert both.shape == (6, 3, 64, 64)
    torch.testing.assert_close(both[0], both[1])  # all pictures alike
    assert not torch.allclose(both[0], both[2])
    assert torch.equal(paintings.varied(torch.ones(1, 3, 64, 64), 2, 8, 20, 0.1, (32, 32)), torch.ones(2, 3, 32, 32))


# --- commands ---


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`zoo …` in a folder with a tiny painter of qbc, and a classifier that likes red: status, and what was printed."""
    monkeypatch.chdir(tmp_path)
    loading.save(gan(), tmp_path / "painter")
    monkeypatch.setattr(classifiers, "squeezenet", red_classifier)

    def run(*args):
        status = cli.main([*args, "--painter", "painter"] if args[0] != "strokes" else list(args))
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def test_visualize_from_the_command_line(command, tmp_path):
    status, out = command(
        "visualize",
        "pineapple",
        "--strokes",
        "2",
        "--steps",
        "7",
        "--preview",
        "p.png",
        "--out",
        "p.gif",
        "--size",
        "64",
    )
    assert (status, "squeezenet1_1 sees pineapple in it with p =" in out) == (0, True)
    with Image.open(tmp_path / "p.gif") as gif, Image.open(tmp_path / "p.png") as preview:
        assert gif.n_frames > 5
        assert preview.size == (64, 64)
    status, out = command(
        "visualize",
        "pineapple",
        "953",
        "--grid",
        "2",
        "--steps",
        "1",
        "--palette",
        "ff0000",
        "#0000ff",
        "--out",
        "p.json",
    )
    assert status == 0
    assert {tuple(c) for c in Drawing.load(tmp_path / "p.json").strokes[:, -3:].tolist()} <= {
        (1.0, 0.0, 0.0),
        (0.0, 0.0, 1.0),
    }


def test_stylize_from_the_command_line(command, tmp_path, digit):
    Image.fromarray(digit).resize((80, 160)).save(tmp_path / "d.png")
    options = ("--detail", "128", "--strokes", "1", "--steps", "2", "--layer", "features", "--palette", "grey")
    status, _ = command("stylize", "d.png", *options, "--out", "s.svg")
    assert status == 0
    assert (tmp_path / "s.svg").read_text().startswith("<")
    status, _ = command("stylize", "d.png", *options, "--renderer", "bezier-width-colour", "--out", "s.json")
    assert Drawing.load(tmp_path / "s.json").renderer == "bezier-width-colour"
    assert Drawing.load(tmp_path / "s.json").aspect == 0.5


def test_strokes_from_the_command_line(command, tmp_path):
    status, out = command("strokes", "--renderer", "qbc", "--n", "5", "--size", "16", "--processes", "1", "--out", "s")
    assert (status, (tmp_path / "s" / "strokes.json").is_file()) == (0, True)
    status, out = command("strokes", "--renderer", "qbc", "--n", "6", "--size", "16", "--processes", "1", "--out", "s")
    assert (status, "holds other strokes" in out) == (1, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("visualize", "pinaple", "--out", "p.png"), "did you mean 'pineapple'"),
        (("visualize", "pineapple", "--out", "p.xyz"), "xyz"),
        (("visualize", "pineapple", "--palette", "red", "--out", "p.png"), "six hexadecimal digits"),
        (("visualize", "pineapple", "--preview", "p.jpg", "--out", "p.png"), "expected a .png"),
        (("visualize", "pineapple", "--steps", "0", "--out", "p.png"), "expected 1 to 100,000 steps"),
        (("stylize", "nothing.png", "--out", "p.png"), "no file nothing.png"),
        (("stylize", "sample:chelsea", "--layer", "feature", "--out", "p.png"), "did you mean 'features'"),
        (("strokes", "--renderer", "mypant", "--out", "s"), "did you mean 'mypaint'"),
    ],
)
def test_wrong_commands_get_one_line(command, args, message):
    status, out = command(*args)
    assert status == 1
    assert message in out
    assert out.strip().splitlines()[-1].startswith("zoo: error:")


@installed
def test_an_unknown_brush_on_the_command_line(command):
    status, out = command("strokes", "--renderer", "mypaint", "--brush", "classic/dry_brsh", "--out", "s")
    assert (status, "did you mean 'classic/dry_brush'" in out) == (1, True)
