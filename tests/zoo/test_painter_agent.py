"""The agent that paints through a neural painter. On strokes of qbc where MyPaint's own are not needed."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from tiny_painters import fit, gan, weights

import renderers
import zoo
from datamodules import ImageFolder
from renderers import Drawing
from zoo.checkpoints import catalogue, loading, packing
from zoo.neural_painter import agent as agents
from zoo.neural_painter.networks import AgentNet
from zoo.training import export


@pytest.fixture
def painters(zoo_list):
    for name, renderer in (("tiny-gan", "qbc"), ("tiny-mypaint", "mypaint")):
        model = gan(renderer)
        data = packing.pack(model)
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


def test_with_early_fusion_what_is_painted_can_look_like_the_image(painters):
    net = AgentNet(12, 3, 32, 24, early_fusion=True)
    first = next(m for m in net.canvas if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight[:, 48:96] = -first.weight[:, :48]  # the image's pixels against the canvas's
    images, other = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    last, blank = torch.zeros(2, 12), torch.zeros(2, 24)
    after = lambda canvas: net((blank, images), canvas, last, None)[0]  # noqa: E731
    torch.testing.assert_close(after(images), net((blank, other), other, last, None)[0])
    assert not torch.allclose(after(images), after(other))
    assert tiny(channels=1, network={"early_fusion": True}).net.canvas[2].in_channels == 16 * 4 + 2


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


class Progress:
    """A trainer at some step of 100."""

    def __init__(self, step):
        self.global_step, self.estimated_stepping_batches = step, 100


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


HUMAN = {"renderer": "mypaint", "painter": "tiny-mypaint", "steps": 8, "channels": 1, "connected": True}


def test_the_lesson_is_learned_by_heart_then_bent_to_the_ink(painters):
    distance = {"share": 0.9, "length": (0.0, 0.0)}
    learning = {"human": 0.5, "released": 0.8, "forcing": 10.0, "warm": 1.0}
    agent = tiny(**HUMAN, learning=learning, distance=distance, image_size=64)
    agent._trainer = Progress(10)
    logged = {}
    agent.log = lambda name, value, **kwargs: logged.update({name: value.item()})
    agent.log_dict = lambda figures, **kwargs: logged.update({k: v.item() for k, v in figures.items()})
    agent.rollout = None  # nothing is painted
    images = torch.stack([Drawing.load(agents.DEMONSTRATIONS / f"{i}.json").to("bezier").render(64) for i in range(10)])
    batch = {"image": 1 - images, "label": torch.arange(10)}
    optimizer = torch.optim.Adam(agent.net.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        losses.append(agent.training_step(batch, 0))
        assert losses[-1].item() == pytest.approx(10 * logged["train/strokes"], rel=1e-4)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]
    for step, share in ((65, 0.5), (85, 0.0)):
        agent._trainer = Progress(step)
        beyond = agent.training_step(batch, 0).item() - 10 * share * logged["train/strokes"]
        assert beyond > 0.5 * logged["train/recall"] > 0
    shown = agent.path(agent.lesson)
    assert agents.ordered(shown, shown).all()


def test_order_and_direction_are_told():
    angle = torch.linspace(0, 2 * np.pi * 0.95, 40)
    circle = torch.stack([angle.cos(), angle.sin()], 1)[None]
    assert agents.ordered(0.3 * circle + 0.1, circle).all()  # wherever and however large
    assert agents.ordered(circle + 0.1 * torch.rand(1, 40, 2), circle).all()
    assert not agents.ordered(circle.flip(1), circle).any()
    assert not agents.ordered(circle.roll(20, 1), circle).any()
