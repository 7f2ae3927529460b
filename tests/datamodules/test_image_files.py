"""Opening images within limits."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datamodules.files import DataError
from datamodules.image_files import open_image


def packed(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def test_files_and_bytes_are_opened_and_turned_upright(tmp_path):
    image = Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    image.save(tmp_path / "a.png", exif=exif)
    for source in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes()):
        opened = open_image(source, "it")
        assert opened.size == (20, 30)
        np.testing.assert_array_equal(np.asarray(opened), np.rot90(np.asarray(image), -1))


def test_a_jpeg_is_decoded_no_larger_than_is_enough():
    photograph = packed(Image.effect_noise((640, 480), 50).convert("RGB"), "JPEG")
    assert open_image(photograph, "it").size == (640, 480)
    assert open_image(photograph, "it", enough=100).size == (160, 120)
    assert open_image(photograph, "it", enough=400).size == (640, 480)


def test_animations():
    frames = [Image.new("L", (20, 20), v) for v in (0, 255)]
    moving = packed(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(open_image(moving, "it").convert("L")).max() == 0
    with pytest.raises(DataError, match="it is an animation of 2 frames"):
        open_image(moving, "it", still=True)


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, and that holds nothing."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT")
    framed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not an image that Pillow can read"),
        (b"text", "it is not an image that Pillow can read"),
        (packed(Image.effect_noise((100, 100), 90))[:5000], r"it is not a whole image \(.*truncated"),
        (claiming(11_000, 10_000), "it has 11000×10000 pixels; at most 100,000,000 are read"),
        (claiming(100_000, 100_000), "it claims too many pixels"),
    ],
)
def test_bad_images(content, message):
    with pytest.raises(DataError, match=message):
        open_image(content, "it")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(DataError, match=r"no file .*none\.png"):
        open_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="is a folder; give an image file"):
        open_image(tmp_path)
