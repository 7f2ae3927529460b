"""The studio's server: its routes, and how it starts and stops."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
import urllib.request
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cache, partial
from pathlib import Path
from types import FrameType

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from zoo.base.images import SAMPLES, sample
from zoo.studio.desk import Desk
from zoo.studio.guard import Guard, RequestError, read_json, refusal
from zoo.studio.models import Models, catalogue
from zoo.studio.tasks import Tasks

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PATIENCE = 2  # seconds that requests are given to end when the server stops
TASKS = ("go_on", "redraw", "morph", "paint", "repaint", "save", "open")


@cache
def page_files() -> dict[str, Path]:
    """The files of the page by the path that they are asked for with."""
    files = {f"/{path.name}": path for path in PAGE.iterdir() if path.suffix in TYPES}
    return files | {"/": PAGE / "index.html"}


async def page_file(request: Request) -> Response:
    """A file of the page."""
    path = page_files().get(request.url.path)
    if path is None:
        return refusal(RequestError(f"there is no page {request.url.path}: go to /", 404))
    return FileResponse(path, media_type=TYPES[path.suffix])


async def about(request: Request) -> Response:
    """See ``zoo.studio.models.catalogue``."""
    return JSONResponse(catalogue())


async def sample_picture(request: Request) -> Response:
    """A photograph of scikit-image, by its name in SAMPLES."""
    name = request.path_params["name"]
    if name not in SAMPLES:
        return refusal(RequestError(f"no sample {name!r}; there are {', '.join(SAMPLES)}", 404))
    return FileResponse(sample(name))


def task(desk: Desk, work: Callable[..., dict[str, object]]) -> Callable[[Request], Awaitable[Response]]:
    """The route of a task: it reads the request, and answers with how the work goes."""

    async def route(request: Request) -> Response:
        try:
            return desk.answer(partial(work, await read_json(request)))
        except RequestError as error:
            return refusal(error)

    return route


def app(desk: Desk, hosts: Sequence[str] = ()) -> Starlette:
    """The application.

    Args:
        desk: Where its work is done.
        hosts: Names by which it may be called, besides those of this machine.
    """
    tasks = Tasks(Models())
    routes = [
        Route("/api/zoo", about),
        Route("/samples/{name}", sample_picture),
        *[Route(f"/api/{name}", task(desk, getattr(tasks, name)), methods=["POST"]) for name in TASKS],
        Route("/{file:path}", page_file),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        desk.close()

    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)], lifespan=lifespan)


class Server(uvicorn.Server):
    """Ends the work at its desk as soon as it is told to stop, so that no request holds it up."""

    def __init__(self, config: uvicorn.Config, desk: Desk):
        super().__init__(config)
        self.desk = desk

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop what is being worked on as well."""
        self.desk.close()
        super().handle_exit(sig, frame)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. OSError, with the remedy, where the port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ear = socket.socket(family)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        ear.bind((host, port))
    except OSError as error:
        ear.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"port {port} is taken: give another one with --port, or 0 for any that is free") from error
        raise OSError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    return ear


def serve(host: str = "127.0.0.1", port: int = 7860, allowed: Sequence[str] = (), browser: bool = True) -> None:
    """Serve the studio until it is interrupted.

    Args:
        host: Address to listen on. The default is reached from this machine alone.
        port: 0 for any that is free.
        allowed: Names by which it may be called, besides those of this machine.
        browser: Open the page, once it is served.

    Raises:
        OSError: Where it cannot listen there.
    """
    torch.set_num_threads(1)  # two threads that wait for each other are slower than one where a core is busy
    ear, desk = listening(host, port), Desk()
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{ear.getsockname()[1]}/"
    names = (*allowed, *([] if host in ("0.0.0.0", "::") else [host]))  # noqa: S104
    config = uvicorn.Config(
        app(desk, names), log_level="warning", server_header=False, timeout_graceful_shutdown=PATIENCE, ws="none"
    )
    threading.Thread(target=announce, args=(address, browser), daemon=True).start()
    Server(config, desk).run([ear])


def announce(address: str, browser: bool) -> None:
    """Print the address once the page is served, and open it in a browser."""
    for _ in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=1):
            break
        time.sleep(0.05)
    print(f"zoo studio: {address}  (Ctrl-C stops it)", flush=True)
    if browser:
        webbrowser.open(address)
