"""Images in files: decoded by a pool of threads into the cache, and mapped from there."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ....errors import DataError
from .cache import cached
from .optional import needed, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "PPM")
LARGEST = 8192
"""The most pixels that an image may be resized to, in height and in width."""

_VERSION = 1  # of how images are decoded; another one makes other files in the cache
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
_BLOCK = 1024  # images that are looked at together
_BYTES = 2**25  # of images that are decoded together

Size = int | Sequence[int]
T = TypeVar("T")


@dataclass(frozen=True)
class _Look:
    """What an image is, told without decoding it."""

    digest: str
    height: int
    width: int
    grey: bool


def read_images(names: Sequence[str], read: Callable[[int], bytes], size: Size | None = None) -> NDArray[np.uint8]:
    """Returns images as bytes (n, C, H, W), a memory map of the cache; C is 1 where all are grey, else 3.

    names: what errors call each image; read: its file's content, by its place.
    size: to what all are resized, (height, width) or one number for both, bilinear and without keeping the sides'
    proportion. Without it they must be of one size. Of 16 bits the upper 8 are kept; transparency is left out.

    Raises `DataError` naming the first image that can't be read, or is of another size than most.
    """
    wanted = _checked(size)
    pil = needed("PIL.Image", "pillow", "Reading images")
    pil.preinit()  # here, not in the threads
    with ThreadPoolExecutor(_threads()) as pool:
        looks = list(_each(pool, lambda at: _look(pil, names[at], read(at)), len(names)))
        height, width = wanted or _common(names, looks)
        grey = all(look.grey for look in looks)
        content = [_VERSION, height, width, grey, wanted is not None, [look.digest for look in looks]]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()

        shape = (1 if grey else 3, height, width)

        def blocks() -> Iterator[NDArray[np.uint8]]:
            step = max(4 * _threads(), _BYTES // math.prod(shape))
            buffer = np.empty((min(step, len(names)), *shape), np.uint8)
            for start in range(0, len(names), step):

                def decode(at: int, start: int = start) -> None:
                    buffer[at] = _decode(pil, names[start + at], read(start + at), (height, width), grey)

                count = min(step, len(names) - start)
                for _ in pool.map(decode, range(count)):
                    pass  # its errors are raised here
                yield buffer[:count]

        return cached(key, (len(names), *shape), np.dtype(np.uint8), blocks)


def decoded(paths: Sequence[Path], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Returns images as bytes (n, *shape), resized, and made grey or coloured, to be of that shape: (1 or 3, H, W).

    Unlike in `read_images` nothing is cached. Raises `DataError` naming the first that can't be read.
    """
    pil = needed("PIL.Image", "pillow", "Reading images")
    pil.preinit()

    def one(path: Path) -> NDArray[np.uint8]:
        content = path.read_bytes()
        _look(pil, str(path), content)
        return _decode(pil, str(path), content, shape[1:], shape[0] == 1)

    with ThreadPoolExecutor(_threads()) as pool:
        return np.stack(list(pool.map(one, paths)))


def as_bytes(image: Image, grey: bool) -> NDArray[np.uint8]:
    """Returns an image as bytes (1, H, W) if grey, else (3, H, W)."""
    if image.mode.startswith("I"):  # 16 bits a pixel, whatever its name
        pixels = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
        return np.broadcast_to(pixels, (1 if grey else 3, *pixels.shape))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else np.moveaxis(pixels, 2, 0)


def _checked(size: Size | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= LARGEST for side in sides):
        raise DataError(f"`size` must be a number from 1 to {LARGEST}, or [height, width], but got {size!r}.")
    return sides[0], sides[1]


def _broken(pil: Any) -> tuple[type[BaseException], ...]:
    bombs = (pil.DecompressionBombError, pil.DecompressionBombWarning)
    return (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        EOFError,
        struct.error,
        zlib.error,
        *bombs,
    )


def _look(pil: Any, name: str, content: bytes) -> _Look:
    try:
        with pil.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            grey = image.mode in _GREY
    except pil.UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise DataError(
            f"{name}: the file is no image ({kinds}), or a damaged one, of {len(content)} bytes."
        ) from error
    except _broken(pil) as error:
        raise DataError(f"{name}: the image can't be read: {one_line(error)}") from error
    if width * height > pil.MAX_IMAGE_PIXELS:
        raise DataError(f"{name}: the image claims {height} x {width} pixels, which is taken for a bomb.")
    return _Look(hashlib.sha256(content).hexdigest(), height, width, grey)


def _common(names: Sequence[str], looks: Sequence[_Look]) -> tuple[int, int]:
    """Returns the (height, width) of all images."""
    sizes = Counter((look.height, look.width) for look in looks)
    (height, width), _ = sizes.most_common(1)[0]
    for name, look in zip(names, looks, strict=True):
        if (look.height, look.width) != (height, width):
            raise DataError(
                f"{name}: the image is {look.height} x {look.width} pixels (height x width), but most are "
                f"{height} x {width}. `data: {{path: ..., size: [{height}, {width}]}}` resizes all."
            )
    return height, width


def _decode(pil: Any, name: str, content: bytes, size: tuple[int, int], grey: bool) -> NDArray[np.uint8]:
    try:
        with pil.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.size == size[::-1]:
                return as_bytes(image, grey)
            image.draft(None, (2 * size[1], 2 * size[0]))  # a large JPEG is decoded at a half, a quarter or an eighth
            if image.mode.startswith("I"):
                image = pil.fromarray(as_bytes(image, True)[0])
            elif image.mode not in ("L", "RGB"):
                image = pil.fromarray(np.ascontiguousarray(np.moveaxis(as_bytes(image, False), 0, 2)))
            return as_bytes(image.resize(size[::-1], pil.Resampling.BILINEAR), grey)
    except _broken(pil) as error:
        raise DataError(f"{name}: the image can't be decoded: {one_line(error)}") from error


def _each(pool: ThreadPoolExecutor, function: Callable[[int], T], count: int) -> Iterator[T]:
    """Yields what the function returns for 0 .. count - 1, a block at a time."""
    for start in range(0, count, _BLOCK):
        yield from pool.map(function, range(start, min(start + _BLOCK, count)))


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 16)
