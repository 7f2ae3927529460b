"""The studio's page in a real browser: Chromium, through Playwright, against `zoo studio` itself."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from renderers import Drawing, libmypaint
from zoo.sketch_rnn.inputs import stroke3

api = pytest.importorskip("playwright.sync_api", reason="the browser extra is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.xdist_group("browser"),
]
PATIENCE = 60_000  # milliseconds
FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


class Studio:
    """`zoo studio` in a process of its own.

    Attributes:
        address: Of its page.
    """

    def __init__(self):
        command = [sys.executable, "-m", "zoo", "studio", "--port", "0", "--no-browser"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = re.search(r"http://\S+", self.process.stdout.readline())[0]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture(scope="module")
def studio():
    studio = Studio()
    yield studio
    studio.stop()


@pytest.fixture(scope="module")
def chromium():
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(studio, chromium):
    """Opens the page; at the end there must have been no error on the console, and no request elsewhere."""
    complaints, contexts = [], []

    def opened(**options):
        context = chromium.new_context(
            viewport=options.pop("viewport", {"width": 1280, "height": 860}), accept_downloads=True, **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        local = (studio.address, "blob:", "data:")
        page.on("request", lambda r: None if r.url.startswith(local) else complaints.append(r.url))
        page.goto(studio.address)
        page.locator("body[data-ready]").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def places(page, points):
    box = page.locator("#pad").bounding_box()
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page, points):
    (x, y), *rest = places(page, points)
    page.mouse.move(x, y)
    page.mouse.down()
    for x, y in rest:
        page.mouse.move(x, y)
    page.mouse.up()


FLAT = [(0.3 + 0.04 * k, 0.4) for k in range(10)]
UPRIGHT = [(0.5, 0.3 + 0.04 * k) for k in range(10)]


def ways(page, n):
    """The page's ways to go on, once there are n of them."""
    thumbs = page.locator("#thumbs button")
    api.expect(thumbs).to_have_count(n, timeout=PATIENCE)
    return thumbs


def kept(page):
    """What the browser keeps, once it was saved."""
    page.wait_for_timeout(400)
    return json.loads(page.evaluate("localStorage.getItem('zoo-studio')"))


def status(page, text):
    api.expect(page.locator("#status")).to_contain_text(text, timeout=PATIENCE)


def save(page, format):
    """The bytes of a file that the open dialog saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=format, exact=True).click()
    return Path(download.value.path()).read_bytes(), download.value.suggested_filename


# --- drawing ---


def test_drawing_with_a_mouse(open_page, tmp_path):
    page = open_page()
    page.select_option("#draw-model", "sketchrnn-kanji-uncond")
    draw(page, FLAT)
    ways(page, 4)
    page.locator("#thumbs button").nth(1).click()
    page.click("#keep")
    ways(page, 4)
    lines = kept(page)["draw"]["lines"]
    assert len(lines) > 1
    page.click("#another")
    ways(page, 4)
    assert kept(page)["draw"]["seed"] == "1"
    page.click("#undo")
    assert len(kept(page)["draw"]["lines"]) == 1
    page.click("#redo")
    assert kept(page)["draw"]["lines"] == lines

    page.click("#draw-take")
    data, name = save(page, "JSON")
    assert name == "sketch.json"
    assert len(Drawing.from_json(data.decode())) >= len(lines)
    data, name = save(page, "SVG")
    (tmp_path / name).write_bytes(data)
    assert len(stroke3(tmp_path / name)) > len(lines)
    data, _ = save(page, "G-code")
    assert b"G1" in data
    assert "zoo complete sketch.json --in-place" in page.locator("#command").input_value()
    compile(page.locator("#python").input_value(), "python", "exec")
    page.locator("#take").get_by_role("button", name="Close").click()

    page.reload()
    page.locator("body[data-ready]").wait_for()
    ways(page, 4)
    assert kept(page)["draw"]["lines"] == lines


def test_touching_the_pad_interrupts(open_page):
    page = open_page()
    page.select_option("#draw-model", "sketchrnn-kanji-uncond")
    draw(page, FLAT)
    ways(page, 4).first.click()
    (x, y), *_ = places(page, UPRIGHT)
    page.mouse.move(x, y)
    page.mouse.down()
    api.expect(page.locator("#thumbs button")).to_have_count(0)
    assert page.locator("#keep").is_disabled()
    page.mouse.up()
    ways(page, 4)


def test_fingers_and_pens(open_page):
    page = open_page(has_touch=True)
    cdp = page.context.new_cdp_session(page)

    def touch(points):
        places_of = [{"x": x, "y": y} for x, y in places(page, points)]
        for k, place in enumerate(places_of):
            kind = "touchMove" if k else "touchStart"
            cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
        cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    touch(FLAT)
    assert len(kept(page)["draw"]["lines"]) == 1
    pen = {"pointerType": "pen", "button": "left", "clickCount": 1}
    for k, (x, y) in enumerate(places(page, UPRIGHT)):
        kind = "mouseMoved" if k else "mousePressed"
        cdp.send(
            "Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "force": 0.1 + 0.09 * k, "buttons": 1, **pen}
        )
    cdp.send("Input.dispatchMouseEvent", {"type": "mouseReleased", "x": x, "y": y, **pen})
    lines = kept(page)["draw"]["lines"]
    assert len(lines) == 2
    widths = lines[1][2::3]
    assert widths[-1] > 1.5 * widths[0]  # pressure
    touch(FLAT)  # a palm, now that a pen was seen
    assert len(kept(page)["draw"]["lines"]) == 2


def test_by_the_keyboard_alone(open_page):
    page = open_page()
    key = page.keyboard.press
    page.select_option("#draw-model", "sketchrnn-kanji-uncond")
    page.focus("#tab-draw")
    while page.evaluate("document.activeElement.id") != "pad":
        key("Tab")
    key(" ")
    for _ in range(10):
        key("ArrowRight")
    key(" ")
    assert len(kept(page)["draw"]["lines"]) == 1
    ways(page, 4)
    key("2")
    assert page.locator("#thumbs button").nth(1).get_attribute("aria-pressed") == "true"
    key("Escape")
    assert page.locator("#thumbs button[aria-pressed=true]").count() == 0
    key("a")
    ways(page, 4)
    assert kept(page)["draw"]["seed"] == "1"
    key("1")
    key("k")
    assert len(kept(page)["draw"]["lines"]) >= 1
    key("u")
    key("u")
    assert kept(page)["draw"]["lines"] == []
    key("Control+Shift+Z")
    assert len(kept(page)["draw"]["lines"]) == 1
    page.focus("#tab-draw")
    key("ArrowRight")
    assert page.locator("#paint").is_visible()
    page.focus(".sample[data-name=coffee]")
    key("Enter")
    api.expect(page.locator("#paint-go")).to_be_enabled()
    page.focus("#paint-go")
    key("Enter")
    status(page, "200 strokes in")
    api.expect(page.locator("#scrub-shown")).to_have_text("200 of 200", timeout=PATIENCE)
    page.focus("#tab-paint")
    page.evaluate("document.activeElement.blur()")
    key(" ")
    api.expect(page.locator("#play")).to_have_text("Pause")
    key(" ")
    api.expect(page.locator("#play")).to_have_text("Play")


def test_characters_are_redrawn(open_page):
    page = open_page()
    page.select_option("#draw-model", "canvas-drawer-mnist")
    draw(page, [(0.35 + 0.03 * k, 0.3) for k in range(10)] + [(0.62 - 0.02 * k, 0.3 + 0.04 * k) for k in range(10)])
    ways(page, 1)
    page.keyboard.press("k")
    lines = kept(page)["draw"]["lines"]
    assert len(lines) <= 4
    assert min(v for line in lines for v in line[2::3]) > 0.02  # of its own thick strokes
    assert page.locator("#another").is_disabled()


def test_a_drawing_is_opened(open_page, tmp_path):
    page = open_page()
    Drawing(np.array([[0.2, 0.2, 0.8, 0.8], [0.8, 0.8, 0.8, 0.2]], np.float32), "pen").save(tmp_path / "a.json")
    with page.expect_file_chooser() as chooser:
        page.locator("#draw .open").click()
    chooser.value.set_files(tmp_path / "a.json")
    status(page, "ways to go on")
    assert len(kept(page)["draw"]["lines"]) == 1
    (tmp_path / "b.json").write_text("{}")
    with page.expect_file_chooser() as chooser:
        page.locator("#draw .open").click()
    chooser.value.set_files(tmp_path / "b.json")
    status(page, "b.json: not a drawing")
    assert len(kept(page)["draw"]["lines"]) == 1


# --- painting ---


def test_a_painting(open_page, chromium, tmp_path):
    page = open_page()
    page.click("#tab-paint")
    page.click(".sample[data-name=chelsea]")
    api.expect(page.locator("#paint-go")).to_be_enabled()
    page.click("#paint-go")
    status(page, "200 strokes in")
    api.expect(page.locator("#scrub-shown")).to_have_text("200 of 200", timeout=PATIENCE)
    shot = np.asarray(Image.open(_file(tmp_path, "shot.png", canvas(page))).convert("RGB"), np.float32) / 255

    page.click("#paint-take")
    drawing = Drawing.from_json(save(page, "JSON")[0].decode())
    exact = drawing.render(768).permute(1, 2, 0).numpy()
    assert np.square(shot - exact).mean() < 2e-3
    svg, _ = save(page, "SVG")
    picture = chromium.new_page(viewport={"width": 451, "height": 300})
    picture.goto((_file(tmp_path, "painting.svg", svg)).as_uri())
    assert np.asarray(Image.open(_file(tmp_path, "svg.png", picture.screenshot()))).std() > 20
    picture.close()
    assert save(page, "PNG")[0].startswith(b"\x89PNG")
    assert save(page, "GIF")[0].startswith(b"GIF8")
    assert page.locator("#command").input_value() == "zoo draw sample:chelsea --model sara-celeba --out painting.svg"
    page.keyboard.press("Escape")

    page.locator("#scrub").fill("50")
    api.expect(page.locator("#scrub-shown")).to_have_text("50 of 200")
    assert canvas(page) != shot.tobytes()
    page.locator("#wipe").fill("0.5")
    assert "50%" in page.locator("#before").get_attribute("style")
    page.select_option("#renderer", "line")
    status(page, "painted with line")
    page.reload()
    page.locator("body[data-ready]").wait_for()
    api.expect(page.locator("#paint-take")).to_be_enabled()


def _file(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def canvas(page):
    """The painting as a PNG file."""
    import base64

    url = page.evaluate("document.getElementById('painting').toDataURL()")
    return base64.b64decode(url.partition(",")[2])


def test_pictures_from_everywhere_and_stopping(open_page, tmp_path):
    page = open_page()
    page.click("#tab-paint")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)).save(tmp_path / "noise.png")
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files(tmp_path / "noise.png")
    status(page, "noise.png: 90 × 60 pixels")
    bring = """([kind, target, name]) => fetch("samples/coffee").then((a) => a.blob()).then((blob) => {
      const data = new DataTransfer();
      data.items.add(new File([blob], name, { type: "image/png" }));
      const event = kind === "drop" ? new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent(kind, { clipboardData: data, bubbles: true });
      document.querySelector(target).dispatchEvent(event);
    })"""
    page.evaluate(bring, ["drop", "#easel", "dropped.png"])
    status(page, "dropped.png: 600 × 400 pixels")
    page.evaluate(bring, ["paste", "body", "pasted.png"])
    status(page, "pasted.png: 600 × 400 pixels")
    page.click("#snap")
    status(page, "Press Take it")
    page.click("#snap")
    status(page, "camera.png")
    (tmp_path / "text.png").write_text("no picture")
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files(tmp_path / "text.png")
    status(page, "text.png is not a picture")

    page.select_option("#paint-model", label="by optimisation alone")
    page.select_option("#renderer", "circle")
    page.fill("#strokes", "300")
    page.click("#paint-go")
    api.expect(page.locator("#scrub-shown")).not_to_have_text("0 of 0", timeout=PATIENCE)
    page.click("#paint-stop")
    status(page, "Stopped after")
    page.fill("#strokes", "10")
    page.click("#paint-go")
    status(page, "strokes in")


@pytest.mark.skipif(libmypaint.hidden(), reason="MyPaint is hidden")
def test_mypaint(open_page, tmp_path):
    try:
        libmypaint.library()
    except libmypaint.MyPaintError:
        pytest.skip("MyPaint is not installed")
    page = open_page()
    page.click("#tab-paint")
    page.click(".sample[data-name=coffee]")
    page.fill("#strokes", "10")
    page.select_option("#renderer", "mypaint")
    page.click("#paint-go")
    status(page, "10 strokes in")
    api.expect(page.locator("#painting")).to_have_attribute("data-exact", "10", timeout=PATIENCE)
    shot = np.asarray(Image.open(_file(tmp_path, "shot.png", canvas(page))).convert("RGB"), np.float32) / 255
    page.click("#paint-take")
    drawing = Drawing.from_json(save(page, "JSON")[0].decode())
    assert drawing.renderer == "mypaint"
    assert np.square(shot - drawing.render(768).permute(1, 2, 0).numpy()).mean() < 1e-4
    page.keyboard.press("Escape")
    page.locator("#scrub").fill("3")
    api.expect(page.locator("#painting")).to_have_attribute("data-exact", "3", timeout=PATIENCE)


# --- morphing ---


def test_between_two_and_four(open_page):
    page = open_page()
    draw(page, FLAT)
    page.click("#tab-morph")
    page.select_option("#morph-model", "sketchrnn-kanji")
    page.get_by_role("button", name="First: My drawing").click()
    page.click("#morph-go")
    status(page, "10 sketches")
    page.locator("#across").fill("9")
    page.click("#morph-play")
    api.expect(page.locator("#morph-play")).to_have_text("Pause")
    page.keyboard.press("Escape")
    page.click("#morph-take")
    assert save(page, "GIF")[0].startswith(b"GIF8")
    assert len(Drawing.from_json(save(page, "JSON")[0].decode()))
    page.keyboard.press("Escape")
    page.select_option("#ends-count", "4")
    page.fill("#morph-steps", "3")
    page.click("#morph-go")
    status(page, "9 sketches")
    assert page.locator("#down").is_enabled()
    box = page.locator("#between").bounding_box()
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + 0.5 * box["height"])
    assert (page.locator("#across").input_value(), page.locator("#down").input_value()) == ("2", "1")


# --- for everybody ---


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_nothing_serious_is_inaccessible(open_page, look):
    axe = pytest.importorskip("axe_playwright_python")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    size = {"width": 390, "height": 844} if look == "narrow" else {"width": 1280, "height": 860}
    page = open_page(viewport=size, color_scheme="dark" if look == "dark" else "light", reduced_motion="reduce")
    draw(page, FLAT)
    ways(page, 4)
    page.evaluate(source)

    def check(where):
        found = page.evaluate("axe.run()")["violations"]
        bad = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]
        assert not bad, (where, bad)
        wide = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert wide, f"{where} is wider than the screen"
        small = page.evaluate(
            "[...document.querySelectorAll('button, select, input:not([hidden]), summary')].filter(e =>"
            " e.offsetParent && e.getBoundingClientRect().height < 43.5).map(e => e.outerHTML)"
        )
        assert not small, (where, small)

    for tab in ("draw", "paint", "morph"):
        page.click(f"#tab-{tab}")
        for summary in page.locator(f"#{tab} summary").all():
            summary.click()
        check(tab)
    page.click("#tab-draw")
    page.click("#draw-take")
    check("the dialog")


def test_the_server_goes_and_nothing_is_lost(chromium):
    studio = Studio()
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(studio.address)
    page.locator("body[data-ready]").wait_for()
    draw(page, FLAT)
    ways(page, 4)
    assert studio.stop() in (0, -15)  # it ends by the signal
    draw(page, UPRIGHT)
    status(page, "the studio does not answer")
    assert len(kept(page)["draw"]["lines"]) == 2
    page.close()
