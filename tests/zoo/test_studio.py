"""The studio's server: its work, its refusals, and that nothing goes on when nobody listens."""

import base64
import contextlib
import io
import json
import threading
import time

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

import zoo
from datamodules.sketch_files import from_drawing
from renderers import Drawing
from zoo.cli.main import main
from zoo.studio import desk as desks
from zoo.studio.desk import Desk
from zoo.studio.server import Server, app, listening
from zoo.studio.wire import sketch, to_lines

HERE = "http://127.0.0.1"
LINE = [v for k in range(12) for v in (0.2 + 0.04 * k, 0.3 + 0.01 * k, 0.01 + 0.001 * (k % 3))]


@pytest.fixture(scope="module")
def client():
    desk = Desk()
    with TestClient(app(desk), base_url=HERE) as client:
        yield client


def ask(client, task, **data):
    """All events of a task; the last is its result."""
    answer = client.post(f"/api/{task}", json=data)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def result(client, task, **data):
    last = ask(client, task, **data)[-1]
    assert last["event"] == "done", last
    return last


def message(client, task, **data):
    last = ask(client, task, **data)[-1]
    assert last["event"] == "error", last
    return last["message"]


def picture(size=40, colour=(200, 80, 20)):
    pixels = np.full((size, size, 3), 30, np.uint8)
    pixels[size // 4 : size // 2, size // 4 :] = colour
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


# --- the page and what it is told ---


def test_the_page_is_served_with_a_policy_that_admits_nothing_else(client):
    for path, kind in (("/", "text/html"), ("/main.js", "text/javascript"), ("/studio.css", "text/css")):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
    assert "<script>" not in client.get("/").text
    assert " style=" not in client.get("/").text
    assert client.get("/../server.py").status_code == 404
    assert client.get("/samples/..%2f__init__.py").status_code == 404


def test_all_of_the_page_is_small():
    from zoo.studio.server import PAGE

    assert sum(path.stat().st_size for path in PAGE.iterdir()) <= 150_000


def test_the_page_is_told_of_the_models(client):
    about = client.get("/api/zoo").json()
    models = {m["name"]: m for m in about["models"]}
    assert models["sketchrnn-kanji"]["kind"] == "sketches"
    assert models["sketchrnn-kanji"]["between"]
    assert not models["sketchrnn-kanji-uncond"]["between"]
    assert models["canvas-drawer-mnist"]["kind"] == "characters"
    assert models["sara-celeba"]["kind"] == models["canvas-drawer-sketches"]["kind"] == "pictures"
    assert "neural-painter-gan" not in models
    assert all(m["licence"] and m["paper"] and m["figures"] and m["bytes"] for m in models.values())


# --- its work ---


def test_a_model_goes_on_from_a_sketch(client):
    events = ask(client, "go_on", model="sketchrnn-kanji-uncond", lines=[LINE], n=4, seed=3)
    ways = events[-1]["ways"]
    assert len(ways) == 4
    assert any(ways)
    page = sketch([LINE])
    random = torch.Generator().manual_seed(3)
    expected = zoo.load("sketchrnn-kanji-uncond").continue_(page, 4, temperature=0.4, generator=random)
    assert ways == [to_lines(way) for way in expected]
    again = ask(client, "go_on", model="sketchrnn-kanji-uncond", lines=[LINE], n=4, seed=3)
    assert "loaded" not in [e["event"] for e in again]
    assert again[-1]["ways"] == ways


def test_on_an_empty_page_it_draws_whole_sketches(client):
    ways = result(client, "go_on", model="sketchrnn-kanji", lines=[], n=2)["ways"]
    assert len(ways) == 2
    assert all(len(sketch(way)) for way in ways)


def test_a_line_of_changing_width_is_one_line_to_the_models():
    page = sketch([LINE])
    assert len(page) == 11
    assert len(page.outlines()) > 1
    same = sketch([[0.01 if k % 3 == 2 else v for k, v in enumerate(LINE)]])
    assert (from_drawing(page) == from_drawing(same)).all()
    assert to_lines(page)[0][3:] == pytest.approx(LINE[3:], abs=1e-4)


def test_characters_are_redrawn_in_their_place(client):
    way = result(client, "redraw", model="canvas-drawer-mnist", lines=[LINE])["ways"][0]
    drawn = sketch(way).strokes
    assert drawn[:, [0, 2]].min() > 0.1
    assert drawn[:, [0, 2]].max() < 0.75
    assert drawn[:, [1, 3]].min() > 0.2
    assert drawn[:, [1, 3]].max() < 0.5
    assert "empty" in message(client, "redraw", model="canvas-drawer-mnist", lines=[])


def test_a_painting_comes_as_it_is_made(client):
    events = ask(client, "paint", model="sara-celeba", image=picture(), strokes=20)
    news = [e for e in events if "outlines" in e and e["event"] == "progress"]
    assert events[0]["event"] == "begin"
    assert news
    assert news[0]["keep"] == 0
    last = events[-1]
    assert last["count"] == len(last["outlines"]) == 20
    expected = zoo.load("sara-celeba").draw(Image.open(io.BytesIO(base64.b64decode(picture()))), strokes=20)
    assert Drawing.from_json(last["drawing"]) == expected


def test_from_nothing_and_with_other_strokes(client):
    painted = result(client, "paint", image=picture(), renderer="circle", strokes=6, steps=2)
    assert Drawing.from_json(painted["drawing"]).renderer == "circle"
    other = result(client, "repaint", drawing=painted["drawing"], renderer="line")
    assert Drawing.from_json(other["drawing"]).renderer == "line"


def test_what_lies_between(client):
    two = result(client, "morph", model="sketchrnn-kanji", sketches=[[LINE], None], steps=3)["sketches"]
    assert len(two) == 3
    four = result(client, "morph", model="sketchrnn-kanji", sketches=[None] * 4, steps=2)["sketches"]
    assert len(four) == 4
    assert "unconditional" in message(client, "morph", model="sketchrnn-kanji-uncond", sketches=[None, None])


@pytest.mark.parametrize(
    ("ending", "begins"),
    [(".svg", b"<svg"), (".png", b"\x89PNG"), (".gif", b"GIF8"), (".json", b"{"), (".gcode", b";")],
)
def test_files(client, ending, begins):
    file = base64.b64decode(result(client, "save", drawing=[LINE], format=ending, size=64)["file"])
    assert begins in file[:200]
    if ending in (".svg", ".json"):
        opened = result(client, "open", name=f"sketch{ending}", file=base64.b64encode(file).decode())
        assert Drawing.from_json(opened["drawing"]).renderer.startswith("pen")
        assert len(opened["lines"]) >= 1
    if ending == ".json":
        assert opened["lines"][0][3:] == pytest.approx(LINE[3:], abs=1e-4)


def test_a_morph_is_saved_as_a_flipbook(client):
    file = base64.b64decode(result(client, "save", sketches=[[LINE], [LINE[:12]]], format=".gif", size=32)["file"])
    assert Image.open(io.BytesIO(file)).n_frames == 2


def test_the_command_line_goes_on_in_place(tmp_path):
    sketch([LINE]).save(tmp_path / "sketch.json")
    out = str(tmp_path / "way{i}.json")
    options = ["--model", "sketchrnn-kanji-uncond", "--n", "2", "--seed", "3", "--out", out]
    assert main(["complete", str(tmp_path / "sketch.json"), "--in-place", *options]) == 0
    way = Drawing.load(tmp_path / "way0.json")
    assert (way.strokes[:11] == sketch([LINE]).strokes).all()
    assert main(["complete", "sketch.svg", "--in-place", *options]) == 1


# --- refusals ---


def test_other_hosts_and_other_sites_are_refused(client):
    assert "--allow-host" in client.get("/", headers={"host": "evil.example"}).json()["error"]
    assert client.get("/", headers={"host": "localhost:7860"}).status_code == 200
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        answer = client.post("/api/go_on", json={}, headers=headers)
        assert answer.status_code == 403
        assert "refused" in answer.json()["error"]
    form = client.post("/api/go_on", content="{}", headers={"content-type": "text/plain"})
    assert form.status_code == 415
    with TestClient(app(Desk(), ["me-studio.hf.space"]), base_url="https://me-studio.hf.space") as space:
        assert "frame-ancestors https://huggingface.co" in space.get("/").headers["content-security-policy"]


def test_bodies_are_bounded_and_must_be_json(client):
    json_type = {"content-type": "application/json"}
    big = client.post("/api/open", content=b'{"a":"' + b"x" * (17 << 20) + b'"}', headers=json_type)
    assert big.status_code == 413
    assert "16 MB" in big.json()["error"]
    for body in (b"", b"[1]", b"{", b'{"n": NaN}', b'{"n": 1e999', b"[" * 100_000):
        answer = client.post("/api/go_on", content=body, headers=json_type)
        assert answer.status_code == 400
        assert "JSON" in answer.json()["error"]


BAD = [
    ("go_on", {"model": "nope", "lines": [LINE]}, "no checkpoint 'nope'"),
    ("go_on", {"model": "../../etc", "lines": [LINE]}, "no checkpoint"),
    ("go_on", {"model": "sara-celeba", "lines": [LINE]}, "needs a SketchRNN"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [LINE], "n": 10}, "n is 10; expected 1 to 9"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [LINE], "n": 1.5}, "whole number"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [LINE], "temperature": 0}, "temperature is 0"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [LINE], "label": "cat"}, "not told"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": "x"}, "list of lines"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [[0.1, 0.2]]}, "list of lines"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [["a", 0.2, 0.1]]}, "no number"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [[0.1, 7, 0.01]]}, "expected a number in [0, 1]"),
    ("go_on", {"model": "sketchrnn-kanji", "lines": [[0.1, 0.2, 0.01] * 100_000]}, "at most 20,000"),
    ("paint", {"model": "sara-celeba", "image": "sample:nobody"}, "sample:astronaut"),
    ("paint", {"model": "sara-celeba", "image": "/etc/passwd"}, "base64"),
    ("paint", {"model": "sara-celeba", "image": "aGVsbG8="}, "not an image"),
    ("paint", {"model": "sara-celeba"}, "image is None"),
    ("paint", {"model": "sara-celeba", "image": "sample:coffee", "tiles": 99}, "tiles is 99"),
    ("paint", {"model": "sara-celeba", "image": "sample:coffee", "strokes": 3}, "multiple"),
    ("paint", {"image": "sample:coffee", "strokes": 100_000}, "strokes is 100000"),
    ("paint", {"image": "sample:coffee", "renderer": "crayon"}, "no renderer 'crayon'"),
    ("repaint", {"drawing": "{}", "renderer": "pen"}, "not a drawing"),
    ("save", {"drawing": [LINE], "format": ".exe"}, "no format '.exe'"),
    ("save", {"drawing": [LINE], "format": ".png", "size": 99999}, "size is 99999"),
    ("open", {"name": "a.txt", "file": ""}, "file"),
    ("open", {"name": "a.svg", "file": "PHN2Zz4="}, "a.svg"),
    ("open", {"name": "a.json", "file": "e30="}, "a.json"),
    ("morph", {"model": "sketchrnn-kanji", "sketches": [None]}, "two sketches, or four"),
]


@pytest.mark.parametrize(("task", "data", "says"), BAD)
def test_bad_requests_get_one_sentence(client, task, data, says):
    assert says in message(client, task, **data)


def test_a_bomb_is_refused(client):
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    bomb = base64.b64encode(file.getvalue()).decode()
    assert "100,000,000" in message(client, "paint", model="sara-celeba", image=bomb)


# --- beginning and ending ---


@contextlib.contextmanager
def running():
    """A real server in a thread: its address, its desk, the server."""
    ear, desk = listening("127.0.0.1", 0), Desk()
    config = uvicorn.Config(app(desk), log_level="error", timeout_graceful_shutdown=2, ws="none")
    server = Server(config, desk)
    thread = threading.Thread(target=server.run, args=([ear],))
    thread.start()
    address = f"{HERE}:{ear.getsockname()[1]}"
    try:
        while not server.started:
            time.sleep(0.02)
        yield address, desk, server
    finally:
        server.should_exit = True
        desk.close()
        thread.join(20)
        assert not thread.is_alive()


LONG = {"image": "sample:coffee", "renderer": "circle", "strokes": 400, "steps": 200}


def idle(desk, seconds=10):
    """Whether the desk is free again within some seconds."""
    done = desk.thread.submit(lambda: True)
    return done.result(seconds) and desk.waiting == 0


def test_a_browser_that_goes_away_ends_its_work():
    with running() as (address, desk, _):
        with httpx.stream("POST", f"{address}/api/paint", json=LONG, timeout=30) as answer:
            next(answer.iter_lines())
        assert idle(desk)


def test_a_server_that_is_stopped_ends_its_work():
    with (
        running() as (address, _, server),
        httpx.stream("POST", f"{address}/api/paint", json=LONG, timeout=30) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        server.handle_exit(2, None)
        with contextlib.suppress(httpx.HTTPError):
            assert not any('"done"' in line for line in lines)


def test_ten_at_once_are_all_answered_and_too_many_are_told():
    def sketches(address, results):
        data = {"model": "sketchrnn-kanji-uncond", "lines": [LINE], "n": 1}
        results.append(httpx.post(f"{address}/api/go_on", json=data, timeout=60))

    with running() as (address, desk, _):
        results = []
        threads = [threading.Thread(target=sketches, args=(address, results)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [r.status_code for r in results] == [200] * 10
        assert len({r.text.splitlines()[-1] for r in results}) == 1
        desk.waiting = desks.MOST_WAITING
        sketches(address, results)
        assert results[-1].status_code == 503
        assert "wait already" in results[-1].json()["error"]
        desk.waiting = 0


def test_a_port_that_is_taken(capsys):
    with contextlib.closing(listening("127.0.0.1", 0)) as ear:
        ear.listen()
        assert main(["studio", "--port", str(ear.getsockname()[1]), "--no-browser"]) == 1
    assert "--port" in capsys.readouterr().err
    assert main(["studio", "--port", "99999"]) == 1
