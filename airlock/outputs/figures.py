"""Reading a drawing: pixels in, a smaller drawing of few fixed colours out.

A PNG file can carry texts, times, profiles, bytes after its end, and a message in the low bits of its pixels.
Nothing but pixels is read (ISO/IEC 15948 section 5), and each is moved to the nearest of 64 fixed colours, without
dithering, so that two bits of each channel are left. What a pixel *shows* is another matter: a point can be a row,
so pictures are held.
"""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, UnidentifiedImageError

from airlock.outputs.rules import OutputRule
from airlock.outputs.values import Unfit

LARGEST_SIDE, MOST_PIXELS, MOST_BYTES = 1_600, 16_000_000, 16 * 2**20
LEVELS = (0, 85, 170, 255)
"""What each channel of a released pixel can be."""

PALETTE = [level for red in LEVELS for green in LEVELS for blue in LEVELS for level in (red, green, blue)]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_figure(content: bytes) -> bytes:
    """Return a PNG file drawn anew: at most 1,600 pixels a side, 64 colours, no metadata.

    Raises:
        Unfit: it is no PNG file, or too large.
    """
    _require_plain_size(content)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as opened:
            if getattr(opened, "n_frames", 1) != 1:
                raise Unfit(OutputRule.UNREADABLE)
            opened.load()
            flat = Image.new("RGB", opened.size, (255, 255, 255))
            rgba = opened.convert("RGBA")
            flat.paste(rgba, mask=rgba.getchannel("A"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error, zlib.error, EOFError):
        raise Unfit(OutputRule.UNREADABLE) from None
    except Image.DecompressionBombError:
        raise Unfit(OutputRule.TOO_LARGE) from None
    flat.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return drawn(flat.width, flat.height, _indices(flat))


def require_drawn(content: bytes) -> bytes:
    """Return a PNG file if it is, byte for byte, one that `read_figure` draws; raises `Unfit` otherwise."""
    if read_figure(content) != content:
        raise Unfit(OutputRule.UNREADABLE)
    return content


def drawn(width: int, height: int, indices: bytes) -> bytes:
    """Return a PNG file of the fixed palette from one palette index per pixel."""
    picture = Image.frombytes("P", (width, height), indices)
    picture.putpalette(PALETTE)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()


def _indices(flat: Image.Image) -> bytes:
    """Return for each pixel the position of the nearest colour of the palette: two bits of each channel."""
    nearest = [min(range(4), key=lambda place: abs(LEVELS[place] - value)) for value in range(256)]
    red, green, blue = (
        channel.point([place << shift for place in nearest]).tobytes()
        for channel, shift in zip(flat.split(), (4, 2, 0), strict=True)
    )
    return bytes(map(int.__or__, map(int.__or__, red, green), blue))


def _require_plain_size(content: bytes) -> None:
    """Look at the size that the header claims before anything is decoded."""
    if len(content) > MOST_BYTES:
        raise Unfit(OutputRule.TOO_LARGE)
    if len(content) < 33 or content[:8] != _SIGNATURE or content[12:16] != b"IHDR":
        raise Unfit(OutputRule.UNREADABLE)
    width, height = struct.unpack(">II", content[16:24])
    if not width or not height:
        raise Unfit(OutputRule.UNREADABLE)
    if width * height > MOST_PIXELS:
        raise Unfit(OutputRule.TOO_LARGE)
