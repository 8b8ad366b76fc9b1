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
from PIL.JpegImagePlugin import JpegImageFile

from imaging.errors import PhotoError, PhotoTooLarge, PhotoUnreadable
from imaging.jpeg import has_more_scans, with_longer_scans

FORMATS: Final = ("JPEG", "PNG", "WEBP")
MAX_PIXELS: Final = 50_000_000

MAX_SIDE: Final = 16_384
"""Pixels along one side. Panoramas have fewer; a longer picture is a line that costs as much as a photo."""

MAX_SCANS: Final = 32
"""Scans of a progressive JPEG. Encoders write some ten; each costs as much as decoding the photo once."""

MAX_DECODED_BYTES: Final = 256 * 1024 * 1024
"""Memory that one photo may take while it is decoded. A file of some kilobytes can require far more."""

# ISO/IEC 23008-12 (HEIF), annex B, and the AV1 Image File Format; the major brand stands in the first box.
_HEIF_BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
_SIGNATURES: Final = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}

_PIXEL_BYTES: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
"""What Pillow takes for a pixel, where it is not 4 bytes."""

_WEBP_BYTES: Final = 12
"""What libwebp takes for a pixel besides: two canvases and the frame."""

_ROWS: Final = 64

_GREY: Final = (127, 128)
"""Of the middle brightness and no colour, in every mode; CMYK is stored the other way round."""

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
    """Returns the pixels of a JPEG, PNG or WebP photo as `(size, size, 3)` RGB.

    Raises `PhotoTooLarge` before anything is decoded, and `PhotoUnreadable` for bytes that are not a complete photo.
    """
    with open_photo(data, max_pixels=max_pixels) as image:
        return pixels_of(image, data, size)


def pixels_of(image: ImageFile.ImageFile, data: bytes, size: int) -> npt.NDArray[np.uint8]:
    """As `decode`, for a photo that `open_photo` opened, and within its block; the image is of no use afterwards."""
    whole = image.width * image.height
    image.draft(None, (size, size))
    _refuse_memory(image, whole)
    flat = _flat(image)
    if isinstance(image, JpegImageFile) and _ends_grey(image) and _ends_early(data):
        raise PhotoUnreadable("the picture ends before its last line; the file is not whole")
    turned = _upright(_resize(flat, size), orientation(image))
    return np.array(turned if turned.mode == "RGB" else turned.convert("RGB"), dtype=np.uint8)


@contextmanager
def open_photo(data: bytes, *, max_pixels: int) -> Generator[ImageFile.ImageFile]:
    """Open a photo within its limits; whatever Pillow raises inside the block becomes a `PhotoError`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_bombs(image, data, max_pixels)
            yield image
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoTooLarge(f"too many pixels; the limit is {max_pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoUnreadable(_unidentified(data)) from error
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead them to
        raise PhotoUnreadable(str(error) or type(error).__name__) from error


def _ends_grey(image: ImageFile.ImageFile) -> bool:
    """Whether the last pixel is what libjpeg makes of a block that is missing. In a good photo it hardly ever is."""
    last = image.getpixel((image.width - 1, image.height - 1))
    return all(value in _GREY for value in (last if isinstance(last, tuple) else (last,)))


def _ends_early(data: bytes) -> bool:
    """Whether a JPEG's data end before its picture does. Decodes twice, at an eighth of the size."""
    longer = with_longer_scans(data)
    return longer is not None and _eighth(data) != _eighth(longer)


def _eighth(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.draft(None, (1, 1))
        return image.tobytes()


def _unidentified(data: bytes) -> str:
    """Why bytes are refused. Formats that cameras and phones write are named, with how to convert them."""
    if not data:
        return "the file is empty"
    wanted = "not a JPEG, PNG or WebP picture"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        name = _HEIF_BRANDS[data[8:12]]
    else:
        name = next((name for start, name in _SIGNATURES.items() if data.startswith(start)), None)
    return f"{wanted} but {name}; convert it: magick mogrify -format jpg FILE" if name else wanted


def _refuse_bombs(image: ImageFile.ImageFile, data: bytes, max_pixels: int) -> None:
    shape = f"{image.width}×{image.height} pixels"
    if image.width * image.height > max_pixels:
        raise PhotoTooLarge(f"{shape}; the limit is {max_pixels:,} pixels")
    if max(image.width, image.height) > MAX_SIDE:
        raise PhotoTooLarge(f"{shape}; the limit is {MAX_SIDE:,} pixels along one side")
    if isinstance(image, JpegImageFile) and has_more_scans(data, MAX_SCANS):
        raise PhotoTooLarge(f"more than {MAX_SCANS} scans, which no camera writes; save it as a usual JPEG")


def _refuse_memory(image: ImageFile.ImageFile, whole: int) -> None:
    """`image` as it will be decoded; `whole`: its pixels in the file, of which a progressive JPEG keeps all."""
    own = _PIXEL_BYTES.get(image.mode, 4) + (_WEBP_BYTES if image.format == "WEBP" else 0)
    needed = image.width * image.height * (own if _is_flat(image) else own + 4)
    if image.info.get("progressive"):
        needed += whole * 2 * len(image.getbands())
    if needed > MAX_DECODED_BYTES:
        raise PhotoTooLarge(
            f"{image.width}×{image.height} pixels of this kind take {needed >> 20} MiB while they are decoded; "
            f"the limit is {MAX_DECODED_BYTES >> 20} MiB"
        )


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 (upright) when there is none or it cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - a camera that writes broken EXIF still takes good photos
        return 1
    return value if value in _TRANSPOSITIONS else 1


def _is_flat(image: Image.Image) -> bool:
    """Whether a picture can be resized as it is: grey and RGB, with nothing to see through."""
    return image.mode in {"L", "RGB"} and not image.has_transparency_data


def _flat(image: Image.Image) -> Image.Image:
    """A picture in grey or RGB. Others are converted some rows at a time: whole, it would be several copies."""
    if _is_flat(image):
        return image
    image.load()
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        flat.paste(_to_rgb(rows), (0, top))
    return flat


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit PNG: Pillow would clip, not scale
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _resize(image: Image.Image, size: int) -> Image.Image:
    smaller = min(image.width, image.height) < size
    return image.resize((size, size), Image.Resampling.BILINEAR if smaller else Image.Resampling.BOX)


def _upright(image: Image.Image, turn: int) -> Image.Image:
    return image if turn == 1 else image.transpose(_TRANSPOSITIONS[turn])
