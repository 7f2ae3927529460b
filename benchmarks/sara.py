"""SARA: training, drawing, tiles and refining, each against a baseline in the same run: python benchmarks/sara.py [PART…]

Parts: training, drawing, tiles, refining. The last needs the faces below $ZOO_DATA.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch
from run import best

import datamodules
import zoo
from datamodules.base import data_root
from renderers import Drawing
from zoo.base import images
from zoo.sara.networks import Rasteriser
from zoo.sara.replay import Replay

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WHERE = torch.cuda.get_device_name() if DEVICE == "cuda" else f"{torch.get_num_threads()} CPU core(s)"
SMALL = {"image_size": 64, "width": 0.5}


def seconds(function: Callable[[], object], rounds: int = 5) -> float:
    """The median time of a call, on the device."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        function()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def training(size: dict[str, float], batch: int, **options: object) -> str:
    """Updates and strokes a second, and what each part of an update costs, in bf16."""
    torch.manual_seed(0)
    model = zoo.SARA(**(size | {"batch": batch, "episodes": 2 * batch} | options)).to(DEVICE)  # type: ignore[arg-type]
    model.configure_model()
    model.to(DEVICE).train()
    model.replay = replay = Replay(2 * batch, model.steps, model.image_size, 65, DEVICE)
    replay.slots(2 * batch)
    for kept in (replay.canvases, replay.targets):
        kept.random_(0, 256)
    (optimizer,), _ = model.configure_optimizers()
    before, after, target, *_ = replay.sample(batch)
    late = torch.rand(batch, device=DEVICE)

    def update() -> None:
        losses = model.losses(replay.sample(batch))
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        model.follow()

    def act() -> None:
        model.actor(before, target, late).sum().backward()

    def render() -> None:
        bundle = torch.rand(batch, 65, device=DEVICE, requires_grad=True)
        model.imagine(before, bundle).sum().backward()

    def critic() -> None:
        model.critic(before, after, target, late).sum().backward()

    def discriminator() -> None:
        model.discriminator(target, after).sum().backward()

    def episode() -> None:
        model.actor.eval()
        model.episode(target, model.world)
        model.actor.train()

    with torch.autocast(DEVICE, torch.bfloat16):
        whole = seconds(update)
        parts = {"act": seconds(act), "render": seconds(render)}
        if model.hparams["discount"]:
            parts["critic"] = seconds(critic)
        if model.hparams["reward"] == "wgan":
            parts["discriminator"] = seconds(discriminator)
        playing = seconds(episode, 2)
    strokes = batch * model.steps * model.bundle
    shares = ", ".join(f"{name} {t / whole:.0%}" for name, t in parts.items())
    what = f"{size['image_size']}², width {size['width']:g}, batch {batch}, {model.hparams['reward']}, discount {model.hparams['discount']:g}"
    return (
        f"training, {what}, on {WHERE}: {1 / whole:.2f} updates/s; a forward and backward pass of each part once, as shares of an update:"
        f" {shares}; episodes: {strokes / playing:,.0f} strokes/s"
    )


def drawing(name: str | None, **size: float) -> str:
    """200 strokes of one image: by `draw`; by `draw` with the actor unfolded, in float32, a tile a call; as published, with the canvas from
    a network as well."""
    torch.manual_seed(0)
    model = zoo.load(name) if name else zoo.SARA(**size).eval().requires_grad_(False)  # type: ignore[arg-type]
    for norm in (
        m for m in model.actor.modules() if isinstance(m, torch.nn.BatchNorm2d) and not name
    ):  # as after training
        norm.running_mean.normal_(0, 0.1)  # type: ignore[union-attr, operator]
        norm.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
    image = images.read("sample:astronaut", 3)
    side, width = model.image_size, model.hparams["width"]
    network = Rasteriser(10, side, width).eval().requires_grad_(False)

    def eager(*inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([model.actor(*x) for x in zip(*(i.split(1) for i in inputs), strict=True)])

    @torch.no_grad()
    def published() -> None:
        canvas, target = torch.zeros(1, 3, side, side), model.look(image)[..., :side, :side]
        for t in range(40):
            for stroke in model.actor(canvas, target, torch.full((1,), t / 40)).view(1, 5, 13).unbind(1):
                alpha = network(stroke[:, :10])
                canvas = canvas * (1 - alpha) + alpha * stroke[:, 10:, None, None]

    def unfolded() -> Drawing:
        with patch.object(model, "fast", return_value=eager):
            return model.draw(image)

    ours, same, paper = best(lambda: model.draw(image), unfolded, published, rounds=9)
    one, other = (model.exact.render(d.strokes[None], model.world_size) for d in (model.draw(image), unfolded()))
    return (
        f"drawing 200 strokes, {name or 'the loop of the paper'}, {side}², width {width:g}, on {WHERE}: {ours:.3f} s; the unfolded float32"
        f" actor, one tile a call, {same:.3f} s, {same / ours:.2f} × (mean difference of the pictures {(one - other).abs().mean():.1e});"
        f" 40 looks at the whole, and the canvas from a neural renderer, {paper:.3f} s, {paper / ours:.2f} ×"
    )


def tiles() -> str:
    """Time per tile for d × d of them."""
    model = zoo.load("sara-celeba")
    times = {}
    for d in (1, 2, 4, 8):
        start = time.perf_counter()
        model.draw("sample:astronaut", tiles=d, strokes=50)
        times[d] = time.perf_counter() - start
    base = times[1]  # the whole image alone; it is the first pass of the others too
    each = {d: (t - base) / d**2 for d, t in times.items() if d > 1}
    shown = ", ".join(f"d={d}: {times[d]:.2f} s, {1e3 * t:.0f} ms a tile" for d, t in each.items())
    return f"tiles of 50 strokes, sara-celeba, on {WHERE}: d=1: {times[1]:.2f} s; {shown}"


def refining(n: int = 4) -> str:
    """What gradient steps on all strokes gain, on the exact renderer at 128², for the first n test faces."""
    data = datamodules.CelebA(archive="celeba-faces-128.zip", image_size=128)
    images = data.split("test").images[:n].float() / 255
    model = zoo.load("sara-celeba")
    found = []
    for steps in (0, 10, 50):
        start = time.perf_counter()
        drawings = [model.draw(image, refine=steps) for image in images]
        took = (time.perf_counter() - start) / n
        painted = model.exact.render(torch.stack([d.strokes for d in drawings]), 128)
        found.append(f"{steps} steps {(painted - images).square().mean():.5f} ({took:.1f} s each)")
    return f"refining {n} test faces, sara-celeba, mean squared error at 128²: {', '.join(found)}"


def main(parts: list[str]) -> None:
    if "training" in parts:
        print("-", training(SMALL, 32, reward="l2", discount=0.0))
        print("-", training(SMALL, 32, reward="l2"))
        print("-", training(SMALL, 32), flush=True)
    if "drawing" in parts:
        print("-", drawing("sara-celeba"))
        print("-", drawing(None, image_size=64, width=0.5))
        print("-", drawing(None, image_size=128, width=1.0), flush=True)
    if "tiles" in parts:
        print("-", tiles(), flush=True)
    if "refining" in parts and (data_root() / "celeba-faces-128.zip").is_file():
        print("-", refining())


if __name__ == "__main__":
    main(sys.argv[1:] or ["training", "drawing", "tiles", "refining"])
