"""Each method's `zoo fit` options on tiny data that is made here: for faults.py, scaling.py and the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def images(folder: Path, n: int = 40, side: int = 32) -> Path:
    """n curves of light ink, as PNG."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        image = Image.new("L", (side, side))
        ImageDraw.Draw(image).line([tuple(p) for p in rng.integers(4, side - 4, (3, 2)).tolist()], fill=255, width=3)
        image.save(folder / f"{i:03}.png")
    return folder


def sketches(path: Path, n: int = 40, longest: int = 12) -> Path:
    """A sketch-rnn .npz of n random walks in each split."""
    rng = np.random.default_rng(0)

    def walks(count: int) -> np.ndarray:
        made = np.empty(count, object)
        for i in range(count):
            steps = rng.integers(-20, 20, (rng.integers(5, longest), 3)).astype(np.int16)
            steps[:, 2] = rng.random(len(steps)) < 0.2
            steps[-1, 2] = 1
            made[i] = steps
        return made

    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, train=walks(n), valid=walks(8), test=walks(8))
    return path


def canvas_network(folder: Path) -> list[str]:
    model = ["--model", "CanvasNetwork", "--model.width=8", "--model.pixels=32"]
    return [
        *model,
        "--data",
        "Strokes",
        "--data.image_size=16",
        "--data.batch_size=5",
        "--data.steps=8",
        "--data.val_steps=4",
    ]


def canvas_drawer(folder: Path) -> list[str]:
    model = [
        "--model",
        "CanvasDrawer",
        "--model.image_size=16",
        "--model.steps=2",
        "--model.pixels.drop=0.3",
        "--model.pixels.ink_weight=2",
    ]
    return [
        *model,
        "--data",
        "ImageFolder",
        f"--data.root={images(folder / 'images')}",
        "--data.image_size=16",
        "--data.batch_size=4",
    ]


def canvas_drawer_by_distance(folder: Path) -> list[str]:
    """Half of the training by the distance from curves to ink, half by pixels."""
    options = [option for option in canvas_drawer(folder) if "--model.pixels" not in option]
    distance = ["--model.distance.share=0.5", "--model.distance.pixel_batch=3", "--trainer.gradient_clip_val=0.3"]
    return [*options, *distance, "--data.ridges=true", "--data.augment=strong"]


def sketch_rnn(folder: Path) -> list[str]:
    model = [
        "--model",
        "SketchRNN",
        "--model.encoder_size=8",
        "--model.decoder_size=12",
        "--model.z_size=4",
        "--model.mixtures=3",
    ]
    sources = f"--data.sources=[{sketches(folder / 'tiny.npz')}]"
    return [*model, "--data", "Sketches", sources, "--data.batch_size=4", "--data.scale_by=0.1", "--data.drop=0.1"]


def neural_renderer(folder: Path) -> list[str]:
    model = ["--model", "NeuralRenderer", "--model.size=32", "--model.width=0.125"]
    data = [
        "--data",
        "Strokes",
        "--data.renderer=qbc",
        "--data.image_size=32",
        "--data.reset=1",
        "--data.batch_size=16",
    ]
    return [*model, *data, "--data.steps=8", "--data.val_steps=4"]


def sara(folder: Path) -> list[str]:
    model = ["--model", "SARA", "--model.image_size=16", "--model.width=0.125", "--model.steps=3", "--model.bundle=2"]
    learning = ["--model.batch=4", "--model.updates=1", "--model.episodes=10", "--model.warmup=0"]
    root = f"--data.root={images(folder / 'images')}"
    return [
        *model,
        *learning,
        "--data",
        "ImageFolder",
        root,
        "--data.image_size=16",
        "--data.batch_size=4",
        "--data.channels=3",
    ]


def strokes(folder: Path) -> list[str]:
    from datamodules import stored

    stored.make("qbc", 60, folder / "strokes", processes=1)
    return ["--data", "StoredStrokes", f"--data.folder={folder / 'strokes'}", "--data.batch_size=6"]


def neural_painter_gan(folder: Path) -> list[str]:
    return [
        "--model",
        "NeuralPainterGAN",
        "--model.renderer=qbc",
        "--model.width=4",
        "--model.warm=0.1",
        *strokes(folder),
    ]


def neural_painter_vae(folder: Path) -> list[str]:
    return ["--model", "NeuralPainterVAE", "--model.renderer=qbc", "--model.latent=4", *strokes(folder)]


def painter_agent(folder: Path) -> list[str]:
    import torch

    import zoo
    from zoo.checkpoints.loading import save

    torch.manual_seed(0)
    painter = save(zoo.NeuralPainterGAN("qbc", width=4), folder / "painter")
    model = [
        "--model",
        "PainterAgent",
        "--model.renderer=qbc",
        f"--model.painter={painter}",
        "--model.steps=2",
        "--model.image_size=32",
    ]
    return [
        *model,
        "--data",
        "ImageFolder",
        f"--data.root={images(folder / 'images')}",
        "--data.image_size=32",
        "--data.batch_size=4",
    ]


METHODS = {
    "canvas_network": canvas_network,
    "canvas_drawer": canvas_drawer,
    "canvas_drawer_by_distance": canvas_drawer_by_distance,
    "neural_painter_gan": neural_painter_gan,
    "neural_painter_vae": neural_painter_vae,
    "neural_renderer": neural_renderer,
    "painter_agent": painter_agent,
    "sara": sara,
    "sketch_rnn": sketch_rnn,
}
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
