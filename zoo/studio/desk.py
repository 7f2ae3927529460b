"""The one desk at which all work is done, a job at a time, and the answers that tell how it goes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from zoo.studio.guard import RequestError

MOST_WAITING = 16  # requests
ERRORS = (
    ValueError,
    OSError,
    RuntimeError,
    TypeError,
    ModuleNotFoundError,
)  # what the library raises; its sentences are shown as they are

Tell = Callable[[dict[str, Any]], None]
"""Sends a piece of news to the page. It raises GoneError once nobody listens any more, which ends the job."""
Job = Callable[[Tell], dict[str, Any]]
"""Does some work and returns its result."""


class GoneError(Exception):
    """Whoever asked for some work has gone, or the server stops."""


class Desk:
    """Does one job after another in a thread of its own: two at once would only take each other's cores."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "desk")
        self.waiting = 0
        self.closed = threading.Event()

    def close(self) -> None:
        """End what is being done, and take nothing more."""
        self.closed.set()
        self.thread.shutdown(wait=False, cancel_futures=True)

    async def news(self, job: Job, gone: threading.Event) -> AsyncIterator[dict[str, Any]]:
        """What a job tells, and at the end its result, or the error that ended it.

        Args:
            job: What to do.
            gone: Set when nobody listens any more.
        """
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | None]()

        def put(item: dict[str, Any] | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        def tell(item: dict[str, Any]) -> None:
            if gone.is_set() or self.closed.is_set():
                raise GoneError
            put(item)

        def work() -> None:
            try:
                tell({"event": "begin"})
                put({"event": "done"} | job(tell))
            except GoneError:
                pass
            except ERRORS as error:
                put({"event": "error", "message": str(error)})
            finally:
                put(None)

        self.waiting += 1
        try:
            self.thread.submit(work)
            while (item := await queue.get()) is not None:
                yield item
        finally:
            self.waiting -= 1

    def answer(self, job: Job) -> Answer:
        """The answer that does a job and tells how it goes.

        Raises:
            RequestError: Where too many wait already, or the desk is closed.
        """
        if self.closed.is_set():
            raise RequestError("the studio is closing: start it again", 503)
        if self.waiting >= MOST_WAITING:
            raise RequestError(f"{self.waiting} requests wait already: try again when they are done", 503)
        return Answer(self, job)


class Answer(Response):
    """Lines of JSON, each an event of a job, as they come. The job ends when the browser goes away."""

    def __init__(self, desk: Desk, job: Job):
        super().__init__(media_type="application/x-ndjson")
        del self.headers["content-length"]
        self.desk, self.job = desk, job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = threading.Event()

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for item in self.desk.news(self.job, gone):
                    line = json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
                    await send({"type": "http.response.body", "body": line, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                tasks.cancel_scope.cancel()
        finally:
            gone.set()
