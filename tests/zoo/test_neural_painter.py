"""The two neural painters, the agent, and what is painted with them. On strokes of qbc where MyPaint is not needed."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from tiny_files import has_mypaint
from torch import nn

import renderers
import zoo
from datamodules import Strokes, stored
from datamodules.base import DataError
from renderers import Drawing
from zoo.checkpoints import catalogue, loading
from zoo.cli import main as cli
from zoo.neural_painter import agent as agents
from zoo.neural_painter import classifiers, paintings
from zoo.neural_painter.networks import SIDE, Guide
from zoo.neural_painter.painters import Texture
from zoo.training import export

installed = pytest.mark.skipif(not has_mypaint(), reason="needs libmypaint and its brushes")
PAINTERS = [lambda: zoo.NeuralPainterGAN("qbc", width=8), lambda: zoo.NeuralPainterVAE("qbc", latent=8)]


def gan(renderer="qbc", **options):
    torch.manual_seed(0)
    return zoo.NeuralPainterGAN(renderer, **({"width": 8} | options)).eval().requires_grad_(False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "SHARD", 32)
    stored.make("qbc", 96, tmp_path / "s", size=SIDE, processes=1)
    return tmp_path / "s"


def fit(model, data, steps):
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_steps=steps, max_epochs=-1, enable_model_summary=False, limit_val_batches=0, **options)
    trainer.fit(model, data)
    return trainer


# --- painters ---


@pytest.mark.parametrize("make", PAINTERS)
def test_a_neural_painter_is_a_renderer(make):
    painter = make().eval()
    exact = renderers.get("qbc")
    strokes = exact.actions.random(2, 3)
    for size in (64, 32, (48, 96)):
        canvas = painter.render(strokes, size)
        assert canvas.shape == exact.render(strokes, size).shape
        assert canvas.isfinite().all()
    strokes.requires_grad_()
    weight = torch.rand(2, 3, 64, 64)
    (painter.render(strokes, 64) * weight).sum().backward()
    assert (strokes.grad.abs().sum((0, 1)) > 0).all()
    assert torch.equal(painter.ink(strokes[:, 0]), painter.ink(strokes[:, 0]))  # no noise


def test_noise_is_an_option():
    action = renderers.get("qbc").actions.random(1)
    noisy = gan(noise=True)
    assert not torch.equal(noisy.ink(action), noisy.ink(action))


def test_a_stroke_is_its_opacity_in_its_colour():
    painter = gan()
    action = renderers.get("qbc").actions.random(2)
    canvas = torch.rand(2, 3, SIDE, SIDE)
    ink = painter.ink(action)[:, None]
    colour = renderers.get("qbc").actions.select(action, "red green blue")[..., None, None]
    torch.testing.assert_close(painter.paint(canvas, action), canvas * (1 - ink) + ink * colour)


def test_the_guide_knows_where_the_curve_is():
    r = renderers.get("qbc")
    guide = Guide(r)
    action = r.actions.random(4)
    maps = guide(action)
    assert maps.shape == (4, guide.maps, 32, 32)
    p0, p1, p2 = r.curves(action).unbind(1)
    middle = ((p0 + 2 * p1 + p2) / 4 * 32).long().clamp(0, 31)
    for i, (x, y) in enumerate(middle.tolist()):
        assert maps[i, 0, y, x] > 0.5  # within two pixels of the curve
        far = (maps[i, 2].flatten().argmin() // 32, maps[i, 2].flatten().argmin() % 32)
        assert maps[i, 0][far] <= maps[i, 0, y, x]


def test_the_gan_learns(folder):
    torch.manual_seed(0)
    data = zoo_data(folder)
    model = zoo.NeuralPainterGAN("qbc", width=8, warm=1.0, ink_weight=0.0, lr=5e-3)
    data.setup()
    batch = data.on_after_batch_transfer(data.datasets["train"].__getitems__(range(32)), 0)
    error = lambda: ((model.ink(batch["action"]) - batch["ink"][:, 0]) ** 2).mean().item()  # noqa: E731
    before = error()
    fit(model, data, 120)
    assert error() < 0.5 * before


def weights(model):
    """Without biases: the critic's last has no effect on what it tells apart."""
    return [p.clone() for p in model.parameters() if p.ndim > 1]


def test_both_parts_of_the_gan_train(folder):
    model = zoo.NeuralPainterGAN("qbc", width=8, warm=0.0)
    model.configure_model()
    before = weights(model)
    fit(model, zoo_data(folder), 3)
    assert all(not torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))


def test_neither_part_learns_from_the_others_loss(folder):
    model = zoo.NeuralPainterGAN("qbc", width=8, warm=0.0)
    model.configure_model()
    model.log = lambda *args, **kwargs: None
    model.done = lambda: 1.0
    data = zoo_data(folder)
    data.setup()
    batch = data.on_after_batch_transfer(data.datasets["train"].__getitems__(range(4)), 0)
    maps = model.guide(batch["action"])
    for which, (trained, other) in enumerate(((model.critic, model.net), (model.net, model.critic))):
        model.zero_grad()
        model.game(batch["ink"], model.net(maps)[:, None], maps)[which].backward()
        assert any(p.grad is not None and p.grad.any() for p in trained.parameters())
        assert all(p.grad is None for p in other.parameters())


def test_the_vae_learns_both_networks_and_the_second_has_no_say_in_the_first(folder):
    torch.manual_seed(0)
    data = zoo_data(folder)
    model = zoo.NeuralPainterVAE("qbc", latent=8)
    model.configure_model()
    before = weights(model)
    fit(model, data, 4)
    assert all(not torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))
    batch = data.on_after_batch_transfer(data.datasets["train"].__getitems__(range(8)), 0)
    logged = {}
    model.log_dict = lambda values, **kwargs: logged.update(values)
    model.training_step(batch, 0)
    model.zero_grad()
    logged["train/z"].backward()
    assert any(p.grad is not None and p.grad.any() for p in model.net.predictor.parameters())
    assert all(p.grad is None for part in (model.encoder, model.net.decoder) for p in part.parameters())


def zoo_data(folder):
    from datamodules import StoredStrokes

    return StoredStrokes(str(folder), batch_size=16)


def test_strokes_of_another_renderer_are_refused(folder):
    with pytest.raises(
        ValueError, match="holds strokes of 'qbc' at 64²; this painter learns those of 'mypaint' at 64²"
    ):
        fit(zoo.NeuralPainterGAN("mypaint", width=4), zoo_data(folder), 1)


def test_a_renderer_without_curves_is_refused():
    with pytest.raises(ValueError, match="imitates strokes along a curve, such as mypaint or qbc; 'circle' has none"):
        zoo.NeuralPainterGAN("circle")


def test_texture_tells_smudged_from_rough():
    rough = torch.rand(2, 3, 32, 32)
    smooth = nn.functional.avg_pool2d(rough, 3, 1, 1)
    metric = Texture()
    metric.update(rough, rough)
    assert metric.compute() == 1
    smudged = Texture()
    smudged.update(smooth, rough)
    assert smudged.compute() < 0.5


def test_painters_are_measured():
    for make in PAINTERS:
        model = make()
        data = Strokes("qbc", reset=1, val_steps=1, batch_size=4)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        figures = trainer.test(model, data, verbose=False)[0]
        assert set(figures) == {"test/mse", "test/unpainted_mse", "test/ssim", "test/texture"}
        assert all(math.isfinite(v) for v in figures.values())


# --- agent ---


@pytest.fixture
def painters(zoo_list):
    for name, renderer in (("tiny-gan", "qbc"), ("tiny-mypaint", "mypaint")):
        model = gan(renderer)
        data = loading.pack(model)
        (zoo_list / f"{name}.safetensors").write_bytes(data)
        catalogue.write_entries({name: loading.describe(model, name, data)})


def tiny(**options):
    torch.manual_seed(0)
    return zoo.PainterAgent(
        **({"renderer": "qbc", "painter": "tiny-gan", "steps": 3, "image_size": 32, "channels": 3} | options)
    ).eval()


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_strokes_of_the_agent(painters, channels, connected):
    agent = tiny(channels=channels, connected=connected)
    images = torch.rand(2, channels, 32, 32)
    strokes = agent.strokes(images)
    agent.actions.check(strokes.detach())
    assert strokes.shape == (2, 3, len(agent.actions))
    starts, ends = (agent.actions.select(strokes, f"x{k} y{k}") for k in (0, 2))
    assert torch.equal(starts[:, 1:], ends[:, :-1]) == connected
    if channels == 1:
        assert not agent.actions.select(strokes, "red green blue").any()
    assert len(agent.draw(images[0])) == 3


def test_the_agent_learns_through_a_frozen_painter(painters, image_folder):
    from datamodules import ImageFolder

    agent = tiny(learning={"warm": 0.5}, lr=1e-3)
    agent.configure_model()
    before = weights(agent)
    fit(agent, ImageFolder(root=str(image_folder), channels=3, image_size=32, batch_size=4), 12)
    assert all(not torch.equal(a, b) for a, b in zip(before, weights(agent), strict=True))
    assert all(p.grad is None for p in agent.painter.parameters())


def test_the_agent_is_judged_on_both(painters):
    agent = tiny()
    batch = {"image": torch.rand(2, 3, 32, 32), "label": torch.tensor([0, 1])}
    agent.evaluate_batch(batch)
    strokes, canvas = agent.rollout(batch["image"])
    drawn = agent.exact.render(strokes, 32)
    torch.testing.assert_close(agent.pictures.compute()["mse"], (drawn - batch["image"]).square().mean())
    torch.testing.assert_close(agent.painter_mse.compute(), (canvas - batch["image"]).square().mean())
    torch.testing.assert_close(agent.gap.compute(), (canvas - drawn).square().mean())


def test_dark_and_light_ink_are_the_same_to_it(painters, digit):
    agent = tiny(channels=1)
    torch.testing.assert_close(agent.draw(digit).strokes, agent.draw(255 - digit).strokes, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"renderer": "pen"}, "have none"),
        ({"image_size": 40}, "a multiple of 16"),
        ({"learning": {"human": 0.5}}, "the demonstrations are 8 connected"),
    ],
)
def test_agents_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def mnist_like(folder, n=24):
    """A data module of dark strokes on white paper."""
    from datamodules import ImageFolder

    folder.mkdir(exist_ok=True)
    for i in range(n):
        picture = Image.new("L", (32, 32), 255)
        ImageDraw.Draw(picture).line((4 + i % 5, 6, 20, 26 - i % 7), fill=0, width=3)
        picture.save(folder / f"{i}.png")
    return ImageFolder(root=str(folder), channels=1, image_size=32, batch_size=8)


PHASES = {"channels": 1, "learning": {"warm": 1.0, "fidelity": 1.0}, "distance": {"share": 0.5, "pixel_batch": 4}}


def test_an_agent_learns_where_the_ink_is_then_the_pixels(painters, tmp_path, monkeypatch):
    agent = tiny(**PHASES)
    agent.configure_model()
    assert not hasattr(agent, "critic")
    assert not any(p.any() for p in agent.net.canvas[-1].parameters())  # it begins blind
    calls = []
    for name in ("blind_strokes", "rollout"):
        method = getattr(agent, name)
        monkeypatch.setattr(agent, name, lambda *a, n=name, m=method: calls.append((n, len(a[0]))) or m(*a))
    fit(agent, mnist_like(tmp_path / "i"), 6)
    assert calls == [("blind_strokes", 8)] * 3 + [("rollout", 4)] * 3
    assert any(p.any() for p in agent.net.canvas[-1].parameters())  # it has learned to look


def test_the_distance_pulls_the_curves_to_the_ink(painters, tmp_path):
    agent = tiny(channels=1, learning={"warm": 1.0}, distance={"share": 1.0, "lr": 5e-3})
    data = mnist_like(tmp_path / "i")
    data.setup()
    images = torch.stack([data.datasets["train"][i][0] for i in range(8)]).float() / 255
    agent.log_dict = lambda *args, **kwargs: None
    agent.done = lambda: 0.5  # of one reach all the time
    cost = lambda: agent.distance_loss(agent.blind_strokes(images), images).item()  # noqa: E731
    before = cost()
    fit(agent, data, 60)
    assert cost() < 0.5 * before


def test_the_distance_needs_curves_ink_and_an_end(painters, tmp_path):
    with pytest.raises(ValueError, match="set channels to 1, or distance to null"):
        tiny(distance={"share": 0.5})
    with pytest.raises(ValueError, match=r"needs an end: set --trainer.max_steps"):
        fit(tiny(**PHASES), mnist_like(tmp_path / "i"), -1)


def test_the_canvas_may_be_the_real_programs_with_the_gradients_of_the_painter(painters):
    batch = {"image": torch.rand(2, 3, 32, 32)}
    gradients, logged = [], {}
    for real in (1.0, 0.0):
        agent = tiny(learning={"warm": 1.0, "drop": 0.0, "real": real})
        agent.log = lambda name, value, **kwargs: logged.update({name: value})
        agent.done = lambda: 0.5
        agent.training_step(batch, 0).backward()
        gradients.append(agent.net.out.weight.grad.clone())
    strokes, canvas = agent.rollout(batch["image"])
    drawn = agent.exact.render(strokes.detach(), 32)
    torch.testing.assert_close(logged["train/mse"], (drawn - batch["image"]).square().mean())
    assert not torch.allclose(canvas, drawn)
    assert not torch.allclose(*gradients)


def test_a_run_of_two_phases_resumes_exactly(painters, tmp_path):
    def run(folder, steps, resume=None):
        torch.manual_seed(0)
        options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "limit_val_batches": 0}
        keep = ModelCheckpoint(folder, every_n_train_steps=2, save_top_k=-1)
        end = StopAt(steps)
        trainer = Trainer(max_steps=6, enable_model_summary=False, callbacks=[keep, end], **options)
        agent = tiny(**PHASES)
        trainer.fit(agent, mnist_like(tmp_path / "i"), ckpt_path=resume, weights_only=True)
        return agent, sorted(folder.glob("*.ckpt"))

    whole, _ = run(tmp_path / "whole", 6)
    for stop in (2, 4):  # in the first phase and in the second
        _, saved = run(tmp_path / f"part{stop}", stop)
        resumed, _ = run(tmp_path / f"rest{stop}", 6, saved[-1])
        for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(a, b)


class StopAt(Callback):
    """Ends a run early, as if it had been broken off."""

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_end(self, trainer, *args):
        trainer.should_stop = trainer.global_step >= self.steps


def test_an_old_training_checkpoint_with_flat_arguments_is_exported(painters, tmp_path):
    agent = tiny(learning={"drop": 0.25, "warm": 0.6})
    flat = {"renderer": "qbc", "painter": "tiny-gan", "steps": 3, "channels": 3, "connected": False, "image_size": 32}
    flat |= {"fidelity": 50.0, "ink_weight": 0.0, "drop": 0.25, "warm": 0.6, "human": 0.0, "forcing": 100.0, "lr": 5e-4}
    old = {"hyper_parameters": flat | {"_class_path": "zoo.PainterAgent"}, "global_step": 7}
    torch.save(old | {"state_dict": agent.state_dict()}, tmp_path / "last.ckpt")
    loaded = zoo.load(export.export(tmp_path / "last.ckpt", "old", tmp_path / "old"))
    assert loaded.learning == agents.AgentLearning(fidelity=50.0, ink_weight=0.0, drop=0.25, warm=0.6)
    torch.testing.assert_close(loaded.net.out.weight, agent.net.out.weight, atol=1e-3, rtol=1e-2)  # float16


def test_images_of_another_size_are_refused(painters):
    with pytest.raises(ValueError, match=r"looks at \(3, 32, 32\): use --data.image_size=32"):
        tiny().strokes(torch.rand(1, 3, 40, 40))


# --- human strokes ---


def test_an_agent_of_human_strokes_is_saved_and_loaded(painters, tmp_path):
    agent = tiny(
        renderer="mypaint", painter="tiny-mypaint", steps=8, channels=1, connected=True, learning={"human": 0.5}
    )
    again = zoo.load(loading.save(agent, tmp_path / "agent"))
    assert again.lesson.shape == (10, 8, 12)


def test_demonstrations_are_connected_drawings():
    for i in range(10):
        d = Drawing.load(agents.DEMONSTRATIONS / f"{i}.json")
        assert len(d) == 8
        starts, ends = (renderers.get(d.renderer).actions.select(d.strokes, f"x{k} y{k}") for k in (0, 2))
        assert torch.equal(starts[1:], ends[:-1])


def test_the_lesson_is_learned_by_heart(painters):
    options = {"renderer": "mypaint", "painter": "tiny-mypaint", "steps": 8, "channels": 1, "connected": True}
    agent = tiny(**options, learning={"human": 1.0}, image_size=64)
    images = torch.rand(10, 1, 1, 1).expand(-1, 1, 64, 64) * torch.rand(10, 1, 64, 64)
    batch = {"image": images, "label": torch.arange(10)}
    optimizer = torch.optim.Adam(agent.net.parameters(), 3e-3)
    error = lambda: (agent.strokes(images) - agent.lesson).square().mean()  # noqa: E731
    before = error().item()
    for _ in range(40):
        loss = error()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * before
    shown = agent.path(agent.lesson)
    assert agents.ordered(shown, shown).all()
    assert batch["label"].shape == (10,)


def test_order_and_direction_are_told():
    angle = torch.linspace(0, 2 * np.pi * 0.95, 40)
    circle = torch.stack([angle.cos(), angle.sin()], 1)[None]
    assert agents.ordered(0.3 * circle + 0.1, circle).all()  # wherever and however large
    assert agents.ordered(circle + 0.1 * torch.rand(1, 40, 2), circle).all()
    assert not agents.ordered(circle.flip(1), circle).any()
    assert not agents.ordered(circle.roll(20, 1), circle).any()


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
    ],
)
def test_wrong_classifiers(which, message):
    with pytest.raises((ValueError, KeyError), match=message):
        classifiers.classifier(which)


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


@pytest.mark.parametrize("bad", [{"steps": 0}, {"lr": 0.0}, {"lr": math.inf}])
def test_wrong_optimisations(bad):
    with pytest.raises(ValueError, match="expected 1 to 100,000 steps and a rate"):
        zoo.visualize(953, gan(), [red_classifier()], **bad)


def test_stylize_paints_any_aspect(digit):
    wide = np.stack([np.pad(digit, ((0, 0), (0, 28)))] * 3, -1)
    seen = []
    watch = lambda step, loss, painting: seen.append((loss, painting.cells.height, painting.cells.width))  # noqa: E731
    drawing = zoo.stylize(
        wide, gan(), red_classifier(), layer="features", size=128, strokes=3, steps=25, lr=0.3, watch=watch
    )
    assert drawing.aspect == 2.0
    assert seen[0][1:] == (64, 128)
    assert len(drawing) == 9
    assert seen[-1][0] < seen[0][0]
    for bad in ({"size": 63}, {"size": 5000}, {"overlap": 64}):
        with pytest.raises(ValueError, match="expected 64 to 4096 pixels"):
            zoo.stylize(wide, gan(), red_classifier(), layer="features", **bad)


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
