"""How quickly `zoo studio` answers: python benchmarks/studio.py [--busy]

--busy: with a process beside it that uses a core. A browser's own time is not in these figures.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

PAGE = Path(__file__).parent.parent / "zoo" / "studio" / "page"
LINE = [v for k in range(20) for v in (0.2 + 0.03 * k, 0.35, 0.01)]
IMPORTS = "import zoo.studio.server"


def seconds(command: list[str], until: str | None = None) -> tuple[float, subprocess.Popen[str], str]:
    """How long a process takes, or until a line of its output begins so; the process, and that line."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = next((line for line in process.stdout if until and line.startswith(until)), "")
    if not until:
        process.wait()
    return time.perf_counter() - begin, process, line


def events(client: httpx.Client, task: str, **data: object) -> Iterator[tuple[float, dict]]:
    """Each event of a task, with the seconds since it was asked for."""
    begin = time.perf_counter()
    with client.stream("POST", f"/api/{task}", json=data, timeout=300) as answer:
        for line in answer.iter_lines():
            yield time.perf_counter() - begin, json.loads(line)


def painting(client: httpx.Client, tiles: int) -> str:
    first, last, count = None, 0.0, 0
    for last, event in events(client, "paint", model="sara-celeba", image="sample:astronaut", tiles=tiles):
        if event.get("outlines") and first is None:
            first = last
        count = event.get("count", count)
    return f"{count:,} strokes of a painting: the first after {first:.2f} s, all after {last:.2f} s"


def main() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if "--busy" in sys.argv else None
    beside = ", beside a process that uses a core" if busy else ""
    try:
        imports = min(seconds([sys.executable, "-c", IMPORTS])[0] for _ in range(3))
        ready, server, line = seconds(
            [sys.executable, "-m", "zoo", "studio", "--port", "0", "--no-browser"], "zoo studio: "
        )
        with httpx.Client(base_url=line.split()[2]) as client:
            print(f"- page ready{beside}: {ready:.2f} s; a process that only imports: {imports:.2f} s")
            client.get("/")
            times = []
            for seed in range(21):
                data = {"model": "sketchrnn-kanji-uncond", "lines": [LINE], "n": 4, "seed": seed}
                times.append([at for at, _ in events(client, "go_on", **data)][-1])
            median = statistics.median(times[1:])
            first = f"median of 20; the first, with its model's loading, {times[0]:.2f} s"
            print(f"- a pen stroke to four kanji{beside}: {1000 * median:.0f} ms ({first})")
            list(events(client, "paint", model="sara-celeba", image="sample:coffee", strokes=5))
            print(f"- {painting(client, 1)}{beside}\n- {painting(client, 4)}{beside}")
        server.terminate()
        server.wait()
    finally:
        if busy:
            busy.kill()
    print(f"- all files of the page: {sum(p.stat().st_size for p in PAGE.iterdir()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
