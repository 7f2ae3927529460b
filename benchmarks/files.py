"""From drawings to files, each against a plain way in the same run: python benchmarks/files.py

The painting is the README's: 3,400 strokes. Chromium is timed where it and Playwright (pip install playwright) are at
hand; drawing many images needs $ZOO_DATA.
"""

from __future__ import annotations

import importlib.util
import io
import os
import resource
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import zoo
from renderers import Drawing
from renderers.export.png import to_image
from zoo.cli import many

COUNT = 128  # images to draw


def spent(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds that a function takes: by the clock, and of processors, those of other processes too."""

    def now() -> np.ndarray:
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return np.array([time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in usage)])

    start = now()
    function()
    wall, cpu = now() - start
    return wall, cpu


def ratio(what: str, ours: Callable[[], object], plain: Callable[[], object], plainly: str) -> str:
    (wall, cpu), (_, slow) = spent(ours), spent(plain)
    return f"{what}: {wall:.1f} s ({cpu:.1f} s of processors); {plainly} {slow:.1f} s; {slow / cpu:.1f} × faster"


def difference(path: Path, picture: np.ndarray) -> float:
    """Mean squared difference of an SVG, as resvg draws it, to a picture (H, W, 3)."""
    import resvg_py

    data = bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=picture.shape[1]))
    return float(np.square(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / 255 - picture).mean())


def opened(path: Path, picture: np.ndarray) -> tuple[float, float]:
    """Seconds from the address to the picture in Chromium, of 512², and its mean squared difference to a picture."""
    from playwright.sync_api import sync_playwright

    small = path.with_name("small.svg")  # the size of the picture instead of its own
    head, tail = path.read_text().split(">", 2)[1:]
    words = [w for w in head.split() if not w.startswith(("width", "height"))]
    small.write_text(f'{" ".join(words)} width="512" height="512">{tail}')
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 512, "height": 512})
        page.goto("about:blank")
        page.screenshot()
        start = time.perf_counter()
        page.goto(small.as_uri(), timeout=200_000)
        shot = page.screenshot(timeout=200_000)
        seconds = time.perf_counter() - start
        browser.close()
    shown = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")) / 255
    return seconds, float(np.square(shown - picture).mean())


def svg(drawing: Drawing, folder: Path) -> str:
    picture = drawing.render(512).permute(1, 2, 0).numpy()
    path, exact = drawing.save(folder / "a.svg"), drawing.save(folder / "b.svg", exact=True)
    sizes = [p.stat().st_size / len(drawing) for p in (path, exact)]
    errors = [difference(p, picture) for p in (path, exact)]
    text = (
        f"SVG of {len(drawing):,} strokes: {sizes[0]:.0f} bytes a stroke, mean squared difference {errors[0]:.2e};"
        f" exact masks {sizes[1]:.0f} bytes, {errors[1]:.2e}"
    )
    if not (shutil.which("chromium") and importlib.util.find_spec("playwright")):
        return f"{text}; no Chromium here to time it"
    (seconds, error), (slow, _) = opened(path, picture), opened(exact, picture)
    return f"{text}; in Chromium after {seconds:.1f} s ({error:.2e}), exact masks {slow:.1f} s, {slow / seconds:.0f} ×"


def one_by_one(drawing: Drawing, count: int) -> list[Image.Image]:
    """The pictures of an animation, each stroke painted by itself."""
    renderer = drawing.exact()
    canvas, shown = renderer.blank(1, drawing.shape(512)), []
    for t, stroke in enumerate(drawing.strokes):
        canvas = renderer.paint(canvas, stroke[None])
        if (t + 1) * count // len(drawing) > t * count // len(drawing):
            shown.append(to_image(canvas[0]))
    return shown


def gif(drawing: Drawing, folder: Path) -> str:
    def plain() -> None:
        first, *rest = one_by_one(drawing, 80)
        first.save(folder / "b.gif", save_all=True, append_images=rest, duration=50, loop=0)

    ours = lambda: drawing.save(folder / "a.gif", size=512)  # noqa: E731
    text = ratio("GIF, 512², 81 frames", ours, plain, "with a palette for each frame, stroke by stroke,")
    sizes = [(folder / name).stat().st_size / 1e6 for name in ("a.gif", "b.gif")]
    return f"{text} ({sizes[0]:.1f} MB, {sizes[1]:.1f} MB)"


def mp4(drawing: Drawing, folder: Path) -> str:
    if not importlib.util.find_spec("imageio_ffmpeg"):
        return "MP4: needs pip install 'strokezoo[video]'"
    ours = lambda: drawing.save(folder / "a.mp4", size=512)  # noqa: E731
    return ratio("MP4, 512², 226 frames", ours, lambda: one_by_one(drawing, 180), "painting alone, stroke by stroke,")


def draw_many(name: str, folder: Path) -> str:
    archive = Path(os.environ.get("ZOO_DATA", "")) / "celeba-faces-128.zip"
    if not archive.is_file():
        return f"{name}, {COUNT} images: needs $ZOO_DATA"
    out = folder / name
    out.mkdir()
    with zipfile.ZipFile(archive) as faces:
        chosen = [n for n in faces.namelist() if n.endswith(".jpg")][:COUNT]
        paths = [Path(faces.extract(n, folder)) for n in chosen]
    model = zoo.load(name)
    pairs = many.files_for([str(p) for p in paths], str(out / "{name}.svg"))
    plan = many.Plan(name, "cpu", 1, None, {}, None, {})
    model.draw(pairs[0][0])

    def together() -> None:
        for k in range(0, COUNT, many.BATCH):
            many.draw_batch(model, plan, pairs[k : k + many.BATCH])

    def alone() -> None:
        for image, path in pairs:
            model.draw(image).save(path)

    (_, ours), (_, plain) = spent(together), spent(alone)
    each = f"{COUNT / ours:.1f} images a second of a processor; one by one {COUNT / plain:.1f}"
    return f"zoo draw of {COUNT} faces to SVG, {name}: {each}; {plain / ours:.1f} × faster"


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        painting = zoo.load("sara-celeba").draw("sample:astronaut", tiles=4)
        for measure in (svg, gif, mp4):
            print("-", measure(painting, Path(name)), flush=True)
        for model in ("painter-agent-celeba", "canvas-drawer-mnist", "sara-celeba"):
            print("-", draw_many(model, Path(name)), flush=True)
