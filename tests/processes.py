"""Commands that start processes of their own, of which none outlives the test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any


def run_group(command: Sequence[str], timeout: float = 240, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a session of its own, which ends with it.

    Its output goes to files: a pipe would stay open as long as any process that it has started, and one that waits for
    another that has failed waits for half an hour.

    Raises:
        AssertionError: if it takes longer, with what was printed until then.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:

        def printed() -> list[str]:
            for file in (out, err):
                file.seek(0)
            return [out.read(), err.read()]

        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True, **options)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"not done after {timeout} s: {printed()[1][-3000:]}") from e
        finally:
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):  # all have ended
                os.killpg(process.pid, signal.SIGTERM)  # torchrun ends those that it has put into sessions of their own
                process.wait(40)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return subprocess.CompletedProcess(command, code, *printed())


def free_port(low: int, high: int) -> int:
    """A port that nothing listens on."""
    for port in range(low + os.getpid() % 1000, high):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)):
                return port
    raise OSError(f"no port is free between {low} and {high}")
