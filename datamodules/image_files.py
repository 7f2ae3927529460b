"""Opening an image file, or its bytes, within limits: the one place that does."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from datamodules.files import DataError

MOST_PIXELS = 100_000_000


def open_image(
    source: Path | bytes, name: str | None = None, enough: int | None = None, still: bool = False
) -> Image.Image:
    """An image, decoded, and turned as its EXIF tag says.

    Args:
        source: the file, or its content.
        name: what the errors call it; the file's path by default.
        enough: pixels of a side that are enough: a JPEG is then decoded at a half, quarter or eighth of its size where
            that is no less.
        still: refuse animations; else their first frame is taken.

    Returns:
        An image of any mode, at most MOST_PIXELS large, that needs its file no more.

    Raises:
        DataError: it is missing, too large, damaged, no image, or an animation where a still is asked for.
    """
    name = name or str(source)
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MOST_PIXELS:
                size = f"{image.width}×{image.height}"
                raise DataError(f"{name} has {size} pixels; at most {MOST_PIXELS:,} are read. Scale it down.")
            frames = getattr(image, "n_frames", 1) if still else 1
            if frames > 1:
                raise DataError(f"{name} is an animation of {frames} frames; give one still image.")
            if enough:
                image.draft("RGB", (enough, enough))
            image.load()
            return ImageOps.exif_transpose(image)
    except DataError:
        raise
    except FileNotFoundError as e:
        raise DataError(f"no file {name}") from e
    except IsADirectoryError as e:
        raise DataError(f"{name} is a folder; give an image file.") from e
    except UnidentifiedImageError as e:
        raise DataError(
            f"{name} is not an image that Pillow can read (PNG, JPEG, WebP, …). Replace or remove it."
        ) from e
    except Image.DecompressionBombError as e:
        raise DataError(f"{name} claims too many pixels ({e}); at most {MOST_PIXELS:,} are read. Scale it down.") from e
    except Exception as e:  # Pillow raises what the bytes lead it to
        raise DataError(f"{name} is not a whole image ({e}). Replace or remove it.") from e
