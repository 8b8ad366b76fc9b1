"""Photo bytes to pixels: the one place where that happens, for training, evaluation, serving and camera alike.

Same bytes, same pixels: a model that meets pixels made in another way than those it was trained on loses accuracy
without anybody noticing. Therefore the geometry is fixed here and nowhere else:

1. A JPEG is decoded at the smallest DCT scale (1/1, 1/2, 1/4, 1/8) that is not smaller than the result, which saves
   most of the work on large photos.
2. The whole photo is resized to a square; its aspect ratio is given up. A centre crop would keep it but lose what
   stands at the edge, and a camera's animals often stand there.
3. Resizing averages areas when it makes smaller, and interpolates linearly when it makes larger.
4. EXIF orientation is honoured; alpha is laid over white; grey, palette, CMYK and 16-bit pictures become 8-bit RGB.
   Colour profiles are ignored: cameras write sRGB.
"""

import io
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from imaging.errors import PhotoError, PhotoTooLarge, PhotoUnreadable

FORMATS: Final = ("JPEG", "PNG", "WEBP")
MAX_PIXELS: Final = 50_000_000

# ISO/IEC 23008-12 (HEIF), annex B, and the AV1 Image File Format; the major brand stands in the first box.
_HEIF_BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
_SIGNATURES: Final = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}

_TRANSPOSITIONS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, size: int, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Give the pixels of a JPEG, PNG or WebP photo as `(size, size, 3)` RGB.

    Raises `PhotoTooLarge` before anything is decoded, and `PhotoUnreadable` for bytes that are no whole photo.
    """
    with open_photo(data, max_pixels=max_pixels) as image:
        image.draft(None, (size, size))
        rgb = _to_rgb(image)
        turned = _upright(_resize(rgb, size), orientation(image))
        return np.array(turned, dtype=np.uint8)


@contextmanager
def open_photo(data: bytes, *, max_pixels: int) -> Generator[ImageFile.ImageFile]:
    """Open a photo within its limits; whatever Pillow raises inside the block becomes a `PhotoError`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_bombs(image, max_pixels)
            yield image
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoTooLarge(f"too many pixels; the limit is {max_pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoUnreadable(_unidentified(data)) from error
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead them to
        raise PhotoUnreadable(str(error) or type(error).__name__) from error


def _unidentified(data: bytes) -> str:
    """Why bytes are no photo for us. Formats that cameras and phones write are named, with how to convert them."""
    if not data:
        return "the file is empty"
    wanted = "not a JPEG, PNG or WebP picture"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        name = _HEIF_BRANDS[data[8:12]]
    else:
        name = next((name for start, name in _SIGNATURES.items() if data.startswith(start)), None)
    return f"{wanted} but {name}; convert it: magick mogrify -format jpg FILE" if name else wanted


def _refuse_bombs(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise PhotoTooLarge(f"{image.width}×{image.height} pixels; the limit is {max_pixels:,} pixels")


def orientation(image: Image.Image) -> int:
    """Give the EXIF orientation, 1 to 8; 1 (upright) when there is none or it cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - a camera that writes broken EXIF still takes good photos
        return 1
    return value if value in _TRANSPOSITIONS else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit PNG: Pillow would clip, not scale
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # convert would copy


def _resize(image: Image.Image, size: int) -> Image.Image:
    smaller = min(image.width, image.height) < size
    return image.resize((size, size), Image.Resampling.BILINEAR if smaller else Image.Resampling.BOX)


def _upright(image: Image.Image, turn: int) -> Image.Image:
    return image if turn == 1 else image.transpose(_TRANSPOSITIONS[turn])
