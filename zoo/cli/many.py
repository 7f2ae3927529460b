"""Drawing many images: which there are, where each goes, and drawing them, on one process or several."""

from __future__ import annotations

import errno
import glob
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from renderers import Drawing
    from zoo.base.drawer import Drawer

BATCH = 32  # images that go through a network together, or to a process at a time
MOST_JOBS = 256
NAME = "{name}"

Pair = tuple[str, Path]
"""An image, and the file to draw it to."""


@dataclass(frozen=True)
class Plan:
    """How to draw, the same for all images.

    Args:
        model: Name, folder or repository of the drawer.
        device: Where it draws.
        tiles: See ``Drawer.draw``; so are strokes and options.
        strokes: At most so many.
        options: Others of ``draw``.
        renderer: Whose strokes the drawings become; None for their own.
        saving: Options of the files' format.
    """

    model: str
    device: str
    tiles: int
    strokes: int | None
    options: dict[str, Any]
    renderer: str | None
    saving: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of an image.

    Args:
        image: Its path.
        strokes: Of its drawing; None if there is none.
        text: Where the drawing is, or why there is none.
    """

    image: str
    strokes: int | None
    text: str


def find_images(inputs: Sequence[str]) -> list[str]:
    """All images that files, folders and patterns name, in order.

    Of a folder it takes what is named like an image, without its sub-folders; of a pattern, which ``*``, ``?`` and
    ``**`` may stand in, likewise.

    Raises:
        ValueError: For a folder without an image, or a pattern that matches none.
    """
    images: list[str] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir() and not named_like_image(text):
            inside = sorted(str(p) for p in path.iterdir() if named_like_image(p.name))
        elif glob.has_magic(text) and not path.exists():
            inside = sorted(p for p in glob.glob(text, recursive=True) if named_like_image(p))
        else:
            inside = [text]
        if not inside:
            from datamodules.folder import ENDINGS

            kind = "folder" if path.is_dir() else "pattern"
            raise ValueError(f"the {kind} {text} holds no image; one is named {' '.join(sorted(ENDINGS))}")
        images += inside
    return list(dict.fromkeys(images))


def named_like_image(path: str) -> bool:
    """Whether a path has an image's ending, and does not begin with a dot."""
    from datamodules.folder import ENDINGS

    name = os.path.basename(path)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS


def files_for(images: Sequence[str], out: str) -> list[Pair]:
    """Each image with the file of its drawing: ``out`` with the image's name, without its ending, for {name}.

    Raises:
        ValueError: If two would be one file, or one of the images.
    """
    if len(images) > 1 and NAME not in out:
        raise ValueError(f"{len(images)} images need an --out with {NAME} in it, not {out}")
    pairs = [(image, Path(out.replace(NAME, Path(image.removeprefix("sample:")).stem))) for image in images]
    owner: dict[Path, str] = {}
    for image, path in pairs:
        if path in owner:
            raise ValueError(
                f"{owner[path]} and {image} would both be drawn to {path}: give them different names,"
                f" or an --out of their own (one with {NAME} in it)"
            )
        owner[path] = image
    if len(images) > 1 and (both := {Path(image) for image in images} & owner.keys()):
        raise ValueError(f"the drawing of {owner[min(both)]} would replace the image {min(both)}: choose another --out")
    return pairs


def attempt(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a function returns, or the ValueError that it raises."""
    try:
        return function(*args, **options)
    except ValueError as e:
        return e


def drawings(model: Drawer, plan: Plan, images: Sequence[str]) -> list[Drawing | ValueError]:
    """The drawing of each image, or why there is none: all in one batch, where the drawer looks at them as a whole."""
    options = dict(plan.options)
    if model.takes_batches(plan.tiles) and "order" not in options:
        refine = options.pop("refine", 0)
        looks = [attempt(model.look, image, **options) for image in images]
        whole = [look for look in looks if not isinstance(look, ValueError)]
        drawn = attempt(model.draw_batch, whole, plan.strokes, refine) if whole else []
        if not isinstance(drawn, ValueError):  # else one of them cannot be drawn: which?
            rest = iter(drawn)
            return [look if isinstance(look, ValueError) else next(rest) for look in looks]
    return [attempt(model.draw, i, tiles=plan.tiles, strokes=plan.strokes, **plan.options) for i in images]


def draw_batch(model: Drawer, plan: Plan, batch: Sequence[Pair]) -> list[Outcome]:
    """Draw images, a file each. OSError where a file cannot be written."""
    outcomes = []
    for (image, out), drawing in zip(batch, drawings(model, plan, [image for image, _ in batch]), strict=True):
        if isinstance(drawing, ValueError):
            text = str(drawing)
            outcomes.append(Outcome(image, None, text if image in text else f"{image}: {text}"))
            continue
        drawing = drawing.to(plan.renderer or drawing.renderer)
        drawing.save(out, **plan.saving)
        outcomes.append(Outcome(image, len(drawing), str(out)))
    return outcomes


class Worker:
    """What a process of its own keeps: the model."""

    model: Drawer


def start_worker(plan: Plan, threads: int) -> None:
    """Load the model in a new process, which ends with the one that started it, and leaves Ctrl-C to that."""
    import torch

    from zoo.checkpoints import load

    parent = multiprocessing.parent_process()
    assert parent is not None
    end = partial(os.kill, os.getpid(), signal.SIGTERM)
    threading.Thread(target=lambda: wait([parent.sentinel]) and end(), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    Worker.model = load(plan.model, device=plan.device)  # type: ignore[assignment]


def work(plan: Plan, batch: Sequence[Pair]) -> list[Outcome]:
    """Draw images in a process of its own."""
    return draw_batch(Worker.model, plan, batch)


def submit(pool: ProcessPoolExecutor, plan: Plan, batches: Sequence[Sequence[Pair]]) -> list[Future[list[Outcome]]]:
    """Hand all batches to a pool. BrokenProcessPool if a process is killed meanwhile."""
    try:
        return [pool.submit(work, plan, batch) for batch in batches]
    except OSError as e:
        if e.errno not in (None, errno.EBADF, errno.EPIPE):
            raise
        # the pool notices a killed process in a thread of its own, and closes the pipes that this one writes to
        raise BrokenProcessPool(str(e)) from e


def in_processes(plan: Plan, batches: Sequence[Sequence[Pair]], jobs: int) -> Iterator[list[Outcome]]:
    """Draw batches, several at a time. RuntimeError if a process is killed."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # new interpreters: a fork of a process that has threads may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(batches)), context, start_worker, (plan, threads)) as pool:
        try:
            for job in as_completed(submit(pool, plan, batches)):
                yield job.result()
        except BrokenProcessPool as e:
            killed = "a drawing process was killed, perhaps for want of memory (fewer --jobs need less)"
            raise RuntimeError(f"{killed}; to go on, add --skip-existing") from e
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def draw_all(model: Drawer, plan: Plan, pairs: Sequence[Pair], jobs: int) -> None:
    """Draw images, and print where each drawing is; what cannot be drawn is named, and left out.

    Args:
        model: The drawer, for one process.
        plan: How to draw, and the drawer's name, for several.
        pairs: Images, and where their drawings go.
        jobs: How many processes.

    Raises:
        ValueError: At the end, if some could not be drawn; it names them.
        OSError: Where a file cannot be written.
        RuntimeError: If a process is killed.
    """
    from tqdm import tqdm

    size = max(1, min(BATCH, len(pairs) // (2 * jobs)))
    batches = [pairs[k : k + size] for k in range(0, len(pairs), size)]
    results = in_processes(plan, batches, jobs) if jobs > 1 else (draw_batch(model, plan, b) for b in batches)
    bad = []
    with tqdm(total=len(pairs), desc="drawing", unit="image", disable=None) as bar:  # on a terminal only
        for outcomes in results:
            for outcome in outcomes:
                if outcome.strokes is None:
                    bad.append(outcome.image)
                    bar.write(f"zoo: skipped: {outcome.text}", file=sys.stderr)
                else:
                    bar.write(f"{outcome.text}: {outcome.strokes} strokes")
            bar.update(len(outcomes))
    if bad:
        raise ValueError(f"{len(bad)} of {len(pairs)} images were not drawn: {', '.join(bad)}")
