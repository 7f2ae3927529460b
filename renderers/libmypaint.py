"""libmypaint through ctypes: its brushes and surfaces, kept from every input that would end the process.

Its binary interface is taken from the headers of version 1.6.0. See ``renderers.mypaint`` for the renderer.
"""

from __future__ import annotations

import colorsys
import ctypes as c
import json
import math
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = "libmypaint-1.5-1 mypaint-brushes"
INSTALL = f"install it: apt-get install {PACKAGES} (macOS: brew install libmypaint mypaint-brushes)"
NAMES = (
    "libmypaint-1.5.so.1",
    "libmypaint.so.0",
    "libmypaint.0.dylib",
    "/opt/homebrew/lib/libmypaint.dylib",
    "libmypaint.dylib",
)
TILE, ONE = 64, 1 << 15  # a tile's side in pixels; 1.0 in its fixed-point numbers
# numbers of settings, checked against their names when the library is loaded
RADIUS, HUE, SATURATION, VALUE = 3, 20, 21, 22
IDS = {"radius_logarithmic": RADIUS, "color_h": HUE, "color_s": SATURATION, "color_v": VALUE}
INPUTS = 18
# where a brush keeps its generator's address, how many bytes of a generator are compared, and the seed of a new one
RNG, RNG_BYTES, FIRST_SEED = 248, 80, 1000
FAR = 4096.0  # pixels beyond the canvas: 1e5 costs 200 MB of tiles, 1e8 ends the process
MOST_POINTS = 64  # of a curve
LARGEST_FILE = 1 << 20  # bytes of a .myb


class MyPaintError(RuntimeError):
    """libmypaint, or a brush of it, is missing, unknown or malformed; the message says what to do."""


class TileRequest(c.Structure):
    """What libmypaint asks a surface for: one tile of 64² pixels. Its MyPaintTileRequest."""

    _fields_ = (
        *((n, c.c_int) for n in ("tx", "ty", "readonly")),
        ("buffer", c.POINTER(c.c_uint16)),
        ("context", c.c_void_p),
        ("thread_id", c.c_int),
        ("mipmap_level", c.c_int),
    )


class SettingInfo(c.Structure):
    """What libmypaint says of one of a brush's settings: its MyPaintBrushSettingInfo."""

    _fields_ = (
        ("cname", c.c_char_p),
        ("name", c.c_char_p),
        ("constant", c.c_int),
        *((n, c.c_float) for n in ("low", "default", "high")),
        ("tooltip", c.c_char_p),
    )


def signatures() -> dict[str, tuple[Any, ...]]:
    """The types of each function of the library: that of its result, then those of its arguments."""
    pointer, number, real = c.c_void_p, c.c_int, c.c_float
    brush = {
        "new": (pointer,),
        "unref": (None, pointer),
        "from_defaults": (None, pointer),
        "from_string": (number, pointer, c.c_char_p),
        "reset": (None, pointer),
        "new_stroke": (None, pointer),
        "stroke_to": (number, pointer, pointer, *[real] * 5, c.c_double),
        "set_base_value": (None, pointer, number, real),
        "set_mapping_n": (None, pointer, number, number, number),
        "set_state": (None, pointer, number, real),
        "setting_from_cname": (number, c.c_char_p),
        "setting_info": (c.POINTER(SettingInfo), number),
        "input_from_cname": (number, c.c_char_p),
    }
    rest = {
        "mypaint_fixed_tiled_surface_new": (pointer, number, number),
        "mypaint_fixed_tiled_surface_interface": (pointer, pointer),
        "mypaint_surface_unref": (None, pointer),
        "mypaint_surface_begin_atomic": (None, pointer),
        "mypaint_surface_end_atomic": (None, pointer, pointer),
        "mypaint_tile_request_init": (None, c.POINTER(TileRequest), *[number] * 4),
        "mypaint_tiled_surface_tile_request_start": (None, pointer, c.POINTER(TileRequest)),
        "mypaint_tiled_surface_tile_request_end": (None, pointer, c.POINTER(TileRequest)),
        "rng_double_new": (pointer, c.c_long),
        "rng_double_free": (None, pointer),
        "rng_double_set_seed": (None, pointer, c.c_long),
    }
    return {f"mypaint_brush_{name}": types for name, types in brush.items()} | rest


def hidden() -> bool:
    """Whether the environment variable ZOO_NO_MYPAINT is set, to anything but nothing: see :func:`library`."""
    return bool(os.environ.get("ZOO_NO_MYPAINT"))


@cache
def library() -> Any:
    """libmypaint, loaded once.

    With ZOO_NO_MYPAINT=1 in the environment a library that is installed is not used, and its brushes are not listed: so
    the tests run as on a machine without it.

    Raises:
        MyPaintError: with the line that installs it, if it is missing, hidden, or of an unknown version.
    """
    if hidden():
        raise MyPaintError(f"libmypaint is hidden by ZOO_NO_MYPAINT: unset it; and if it is not installed, {INSTALL}")
    for name in NAMES:
        try:
            lib = c.CDLL(name)
            break
        except OSError:
            continue
    else:
        raise MyPaintError(f"libmypaint was not found; {INSTALL}")
    try:
        for name, (result, *arguments) in signatures().items():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as e:
        unknown = f"{lib._name} is of an unknown version ({e})"
        raise MyPaintError(f"{unknown}; expected libmypaint 1.5 or 1.6: {INSTALL}") from e
    if wrong := [k for k, i in IDS.items() if lib.mypaint_brush_setting_from_cname(k.encode()) != i]:
        unknown = f"{lib._name} is of an unknown version: it numbers {', '.join(wrong)} differently"
        raise MyPaintError(f"{unknown}; {INSTALL}")
    return lib


def read_brush(path: Path) -> bytes:
    """The settings in a .myb file (JSON, version 3) that this libmypaint knows, within their own bounds.

    Others would end the process, as a curve of one point does.

    Returns:
        JSON, as :class:`Brush` takes it.

    Raises:
        MyPaintError: naming the file, for anything that is not a brush.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"larger than {LARGEST_FILE} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != 3:
            raise ValueError(f"version {data['version']!r}; version 3 is read: save it again with MyPaint 1.2 or newer")
        settings = {k: s for name, v in data["settings"].items() if (s := read_setting(k := str(name), v))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as e:
        said = f"it lacks {e}" if isinstance(e, KeyError) else e
        raise MyPaintError(f"{path} is not a MyPaint brush: {said}. Save it again with MyPaint, or remove it.") from e
    return json.dumps({"version": 3, "settings": settings}).encode()


def read_setting(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """The base value of a setting and its curves, within bounds; {} if this libmypaint does not know the setting.

    Args:
        name: of the setting.
        value: what the brush's file says of it.

    Raises:
        ValueError: for numbers that are not finite, or a curve that is none.
    """
    lib = library()
    i = lib.mypaint_brush_setting_from_cname(name.encode())
    if i < 0:
        return {}
    info = lib.mypaint_brush_setting_info(i).contents
    span = info.high - info.low
    inputs = {}
    for key, points in value["inputs"].items():
        curve = [[float(x), min(max(float(y), -span), span)] for x, y in points]
        xs = [x for x, _ in curve]
        if not all(math.isfinite(v) for p in curve for v in p) or xs != sorted(xs) or len(xs) > MOST_POINTS:
            raise ValueError(f"the curve {name} over {key} needs up to {MOST_POINTS} finite points, from left to right")
        if len(curve) >= 2 and lib.mypaint_brush_input_from_cname(str(key).encode()) >= 0:
            inputs[str(key)] = curve
    base = float(value["base_value"])
    if not math.isfinite(base):
        raise ValueError(f"{name} is {base}")
    return {"base_value": min(max(base, info.low), info.high), "inputs": inputs}


class Brush:
    """A brush of the library, for one thread.

    Args:
        settings: what :func:`read_brush` returned.
    """

    def __init__(self, settings: bytes):
        self.settings, self.lib, self.pointer = settings, library(), None
        self.renew()

    def renew(self) -> None:
        """A fresh brush, in a fixed state of its random numbers."""
        self.close()
        lib = self.lib
        self.pointer = lib.mypaint_brush_new()
        lib.mypaint_brush_from_defaults(self.pointer)
        for name in json.loads(self.settings)["settings"]:  # from_string leaves the curves that are there
            for k in range(INPUTS):
                lib.mypaint_brush_set_mapping_n(self.pointer, lib.mypaint_brush_setting_from_cname(name.encode()), k, 0)
        if not lib.mypaint_brush_from_string(self.pointer, self.settings):
            raise MyPaintError("libmypaint refuses the brush: save it again with MyPaint, or choose another")
        self.generator = self.find_generator()

    def find_generator(self) -> int | None:
        """Address of the brush's random generator, which no function tells; None where it cannot be found."""
        fresh = self.lib.rng_double_new(FIRST_SEED)
        try:
            address = int.from_bytes(peek(self.pointer + RNG, 8), "little")  # type: ignore[operator]
            return address if peek(address, RNG_BYTES) == c.string_at(fresh, RNG_BYTES) else None
        except (OSError, OverflowError):
            return None
        finally:
            self.lib.rng_double_free(fresh)

    def seed(self, seed: int) -> None:
        """Set the state of the random numbers. Where the generator cannot be reached, they are always the same ones."""
        if self.generator is None:
            self.renew()
        else:
            self.lib.rng_double_set_seed(self.generator, seed & 0x3FFFFFFF)

    def stroke(
        self, surface: Surface, points: np.ndarray, pressures: np.ndarray, radius: float, rgb: tuple[float, ...]
    ) -> None:
        """Paint one stroke. It depends on earlier strokes by the random numbers only.

        Args:
            surface: the canvas.
            points: (n, 2) as x, y in pixels.
            pressures: (n,) in [0, 1].
            radius: in pixels.
            rgb: red, green, blue in [0, 1].

        Raises:
            ValueError: for numbers that are not finite.
        """
        if not (np.isfinite(points).all() and np.isfinite(pressures).all() and math.isfinite(sum(rgb) + radius)):
            raise ValueError("a stroke for MyPaint has numbers that are not finite")
        lib, brush, canvas, to = self.lib, self.pointer, surface.interface, self.lib.mypaint_brush_stroke_to
        lib.mypaint_brush_set_base_value(brush, RADIUS, math.log(min(max(radius, 0.1), 1000.0)))
        for setting, value in zip((HUE, SATURATION, VALUE), colorsys.rgb_to_hsv(*rgb), strict=True):
            lib.mypaint_brush_set_base_value(brush, setting, value)
        x = np.clip(points[:, 0], -FAR, surface.width + FAR).tolist()
        y = np.clip(points[:, 1], -FAR, surface.height + FAR).tolist()
        lib.mypaint_brush_reset(brush)
        lib.mypaint_brush_new_stroke(brush)
        lib.mypaint_surface_begin_atomic(canvas)
        lib.mypaint_brush_set_state(brush, 0, x[0])  # a slow brush starts from the pen's old place
        lib.mypaint_brush_set_state(brush, 1, y[0])
        to(brush, canvas, x[0], y[0], 0.0, 0.0, 0.0, 10.0)  # the reset takes effect, and eats this event
        to(brush, canvas, x[0], y[0], float(pressures[0]), 0.0, 0.0, 0.1)
        for px, py, pressure in zip(x[1:], y[1:], pressures[1:].tolist(), strict=True):
            to(brush, canvas, px, py, pressure, 0.0, 0.0, 0.1)
        lib.mypaint_surface_end_atomic(canvas, surface.touched)

    def close(self) -> None:
        """Give the brush back to libmypaint; once is enough."""
        if self.pointer:
            self.lib.mypaint_brush_unref(self.pointer)
            self.pointer = None

    __del__ = close


def peek(address: int, size: int) -> bytes:
    """Bytes of this process's memory (Linux only).

    Raises:
        OSError: for an address without memory, where a plain read would end the process.
    """
    with open("/proc/self/mem", "rb", 0) as memory:
        memory.seek(address)
        data = memory.read(size)
    if len(data) != size:
        raise OSError("not that much memory")
    return data


_mine = threading.local()


def brush(settings: bytes) -> Brush:
    """This thread's brush of these settings."""
    brushes = _mine.__dict__.setdefault("brushes", {})
    if settings not in brushes:
        if len(brushes) > 32:
            brushes.clear()
        brushes[settings] = Brush(settings)
    return brushes[settings]


class Surface:
    """An opaque canvas. Free it with :meth:`close`; until then ``tiles`` looks into the library's memory.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int):
        self.lib, self.width, self.height = library(), width, height
        self.pointer = self.lib.mypaint_fixed_tiled_surface_new(width, height)
        self.interface = self.lib.mypaint_fixed_tiled_surface_interface(self.pointer)
        self.touched = c.byref((c.c_int * 4)())
        request = TileRequest()
        self.lib.mypaint_tile_request_init(c.byref(request), 0, 0, 0, 0)
        self.lib.mypaint_tiled_surface_tile_request_start(self.pointer, c.byref(request))
        rows, columns = -(-height // TILE), -(-width // TILE)
        # one block of memory, tile by tile
        self.tiles: np.ndarray = np.ctypeslib.as_array(request.buffer, shape=(rows, columns, TILE, TILE, 4))
        self.lib.mypaint_tiled_surface_tile_request_end(self.pointer, c.byref(request))

    def put(self, canvas: np.ndarray) -> None:
        """Lay down a picture (3, H, W) of floats in [0, 1], kept to 1 / ONE."""
        rows, columns = self.tiles.shape[:2]
        self.tiles.fill(ONE)
        whole = np.full((3, rows * TILE, columns * TILE), ONE, np.uint16)
        whole[:, : self.height, : self.width] = np.clip(canvas * np.float32(ONE) + np.float32(0.5), 0, ONE)
        self.tiles[..., :3] = whole.reshape(3, rows, TILE, columns, TILE).transpose(1, 3, 2, 4, 0)

    def flatten(self, paper: np.ndarray) -> None:
        """Where a brush has erased, the paper (3,) of floats in [0, 1] shows."""
        alpha = self.tiles[..., 3]
        if alpha.min() < ONE:
            erased = (ONE - np.minimum(alpha, ONE))[..., None]
            self.tiles[..., :3] += (erased * paper.astype(np.float32) + 0.5).astype(np.uint16)
            alpha[...] = ONE

    def get(self) -> np.ndarray:
        """The picture, (3, H, W) float32 in [0, 1]."""
        rows, columns = self.tiles.shape[:2]
        whole = self.tiles[..., :3].transpose(4, 0, 2, 1, 3).reshape(3, rows * TILE, columns * TILE)
        return np.minimum(whole[:, : self.height, : self.width], ONE).astype(np.float32) * np.float32(1 / ONE)

    def close(self) -> None:
        """Give the surface back to libmypaint, and its tiles to Python; once is enough."""
        if self.pointer:
            self.tiles = np.empty(0, np.uint16)
            self.lib.mypaint_surface_unref(self.interface)
            self.pointer = None

    def __enter__(self) -> Surface:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
