"""One decode for training and serving: what it accepts, what it refuses, and that it never varies."""

import contextlib
import io
import re
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imaging import PhotoError, PhotoTooLarge, PhotoUnreadable, decode, jpeg
from imaging.jpeg import has_more_scans, with_longer_scans
from tests.examples import examples


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A picture whose four corners differ: red, green, blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (250, 10, 10)
    pixels[: height // 2, width // 2 :] = (10, 250, 10)
    pixels[height // 2 :, : width // 2] = (10, 10, 250)
    pixels[height // 2 :, width // 2 :] = (250, 250, 250)
    return Image.fromarray(pixels)


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return float(np.abs(a.astype(int) - b.astype(int)).mean()) < 4


def test_a_photo_of_any_size_becomes_a_square_of_rgb_bytes():
    for size in (1, 17, 64, 300):
        pixels = decode(encode(scene()), size)
        assert pixels.shape == (size, size, 3)
        assert pixels.dtype == np.uint8


def test_the_whole_photo_is_kept_corner_for_corner():
    pixels = decode(encode(scene(400, 100), quality=95), 32)
    assert pixels[4, 4].argmax() == 0
    assert pixels[4, -4].argmax() == 1
    assert pixels[-4, 4].argmax() == 2
    assert pixels[-4, -4].min() > 200


def test_the_same_bytes_give_the_same_pixels():
    data = encode(scene(1600, 1200))
    assert np.array_equal(decode(data, 96), decode(data, 96))


def test_a_scaled_decode_shows_what_a_full_decode_and_an_area_resize_show():
    noise = np.random.default_rng(0).integers(0, 255, (10, 10, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise).resize((1280, 960), Image.Resampling.BICUBIC), quality=92)
    full = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((80, 80), Image.Resampling.BOX))
    assert close(decode(data, 80), full)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that the tag asks the viewer to undo
    stored = scene(64, 64) if orientation == 1 else scene(64, 64).transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert close(decode(encode(stored, exif=exif, quality=95), 32), decode(encode(scene(64, 64), quality=95), 32))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_spoil_a_good_photo():
    data = encode(scene(), exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decode(data, 16).shape == (16, 16, 3)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_png_and_webp_are_photos_too(kind: str, options: dict[str, object]):
    assert close(decode(encode(scene(), kind, **options), 32), np.asarray(scene().resize((32, 32), 4)))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_become_rgb(mode: str):
    expected = np.asarray(scene().convert(mode).convert("RGB").resize((32, 32), 4))
    assert close(decode(encode(scene().convert(mode), quality=95), 32), expected)


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert decode(encode(clear, "PNG"), 8).min() == 255
    palette = Image.new("P", (20, 20), 0)
    assert decode(encode(palette, "PNG", transparency=0), 8).min() == 255
    assert decode(encode(Image.new("LA", (20, 20), (0, 0)), "PNG"), 8).min() == 255


def test_sixteen_bit_pngs_are_scaled_not_clipped():
    grey = Image.fromarray(np.full((20, 20), 0x8000, np.uint16))
    assert decode(encode(grey, "PNG"), 8).max() == 128


RGB, PALETTE, RGBA = 2, 3, 6


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(side: int, height: int = 0, *, depth: int = 8, kind: int = RGB, rows: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", side, height or side, depth, kind, 0, 0, 0)
    palette = chunk(b"PLTE", b"\0\0\0\xff\xff\xff") if kind == PALETTE else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [8_000, 10_000, 20_000])
def test_a_bomb_is_refused_before_it_is_decoded(side: int):
    with pytest.raises(PhotoTooLarge, match="50,000,000 pixels"):
        decode(huge_png(side), 64)


def test_a_line_as_costly_as_a_picture_is_refused():
    with pytest.raises(PhotoTooLarge, match="16,384 pixels along one side"):
        decode(huge_png(49_999_999, 1), 64)


def test_pixels_that_would_fill_the_memory_are_refused_before_they_are_decoded():
    with pytest.raises(PhotoTooLarge, match="the limit is 256 MiB"):
        decode(huge_png(7_000, depth=16, kind=RGBA), 64)


def test_a_small_file_of_many_pixels_takes_no_more_memory_than_is_allowed():
    side = 7_000
    bomb = huge_png(side, depth=1, kind=PALETTE, rows=b"\0" * (side * (1 + side // 8)))
    assert len(bomb) < 10_000
    program = (
        "import resource, sys\nfrom imaging import MAX_DECODED_BYTES, decode\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode(sys.stdin.buffer.read(), 64)\n"
        "print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) - MAX_DECODED_BYTES)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=bomb, capture_output=True, check=True, timeout=60)
    assert int(done.stdout) < 10_000_000  # bytes above the limit


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there so many times in all."""
    data = encode(scene(), progressive=True)
    last = data.rindex(b"\xff\xda")
    scans = data.count(b"\xff\xda")
    return data[:last] + data[last:-2] * (count - scans + 1) + data[-2:]


def test_a_jpeg_with_more_scans_than_any_camera_writes_is_refused_unread():
    assert decode(with_scans(32), 32).shape == (32, 32, 3)
    with pytest.raises(PhotoTooLarge, match="more than 32 scans"):
        decode(with_scans(33), 32)


def test_a_picture_of_several_pictures_is_held_to_the_same_scans():
    several = io.BytesIO()
    scene().save(several, "MPO", save_all=True, append_images=[scene()], progressive=True)
    data = several.getvalue()
    scan = data.index(b"\xff\xda")
    body = data[scan : data.index(b"\xff\xda", scan + 2)]
    with pytest.raises(PhotoTooLarge, match="more than 32 scans"):
        decode(data[:scan] + body * 40 + data[scan:], 32)


def declared(data: bytes, width: int, height: int) -> bytes:
    """The same data, said to be of another size. ITU-T T.81, B.2.2."""
    frame = re.search(rb"\xff[\xc0-\xc2]", data)
    assert frame
    return data[: frame.end() + 3] + struct.pack(">HH", height, width) + data[frame.end() + 7 :]


def grainy(mode: str = "RGB", width: int = 100, height: int = 100) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 5}, {"subsampling": 0}])
def test_a_jpeg_with_the_data_of_a_smaller_picture_is_no_whole_photo(mode: str, options: dict[str, object]):
    data = encode(grainy(mode), "JPEG", **options)
    assert decode(data, 32).shape == (32, 32, 3)
    for size in ((100, 120), (3_000, 3_000), (2_000, 100)):
        with pytest.raises(PhotoUnreadable, match="ends before its last line"):
            decode(declared(data, *size), 64)


@settings(max_examples=examples(40))
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    grey=st.booleans(),
    options=st.sampled_from(
        [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}, {"subsampling": 2, "quality": 10}]
    ),
)
def test_more_data_behind_the_scans_of_a_whole_jpeg_change_no_pixel(width, height, mode, grey, options):
    """So a good photo is taken, even one that is as grey as what is missing of a bad one."""
    image = Image.new("L", (width, height), 128) if grey else grainy(width=width, height=height)
    data = encode(image.convert(mode), **options)
    longer = with_longer_scans(data)
    assert longer is not None
    assert len(longer) > len(data)
    assert np.array_equal(decode(longer, 48), decode(data, 48))


@given(st.binary(max_size=300))
def test_any_bytes_are_lengthened_or_left_without_an_error(data: bytes):
    assert (with_longer_scans(data) or data)[:2] == data[:2]


def test_a_thumbnail_inside_a_jpeg_does_not_count_and_neither_does_what_follows_it():
    thumbnail = with_scans(40)
    data = encode(scene())
    inside = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail
    assert not has_more_scans(data[:2] + inside + data[2:] + thumbnail, 2)


@given(st.lists(st.sampled_from([b"\xff", b"\xda", b"\xff\xda", b"\0"])).map(b"".join), st.integers(1, 5))
def test_marks_of_scans_are_counted_in_pieces_as_in_the_whole(data: bytes, piece: int):
    """Counted at once, seven megabytes kept the interpreter from all others for five milliseconds."""

    class Watched(bytes):
        def count(self, *how: Any) -> int:
            assert how[2] - how[1] <= piece + 1
            return bytes.count(self, *how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "_PIECE", piece)
        assert jpeg._at_most(Watched(data)) == data.count(b"\xff\xda")


@pytest.mark.parametrize(
    ("frame", "components", "more"),
    [(0xC0, 3, False), (0xC1, 3, False), (0xC0, 1, True), (0xC2, 3, True), (0xC9, 3, True)],
)
def test_scans_count_unless_the_first_of_a_sequential_frame_has_all_components(frame: int, components: int, more: bool):
    """Only then does libjpeg read no further one (`has_multiple_scans` in its jdinput.c)."""
    header = b"\xff\xd8\xff" + bytes([frame, 0, 17, 8, 0, 8, 0, 8, 3]) + bytes(9)
    scan = b"\xff\xda" + bytes([0, 6 + 2 * components, components]) + bytes(2 * components + 3) + b"data"
    assert has_more_scans(header + 40 * scan + b"\xff\xd9", 32) is more


@given(st.binary(max_size=300), st.integers(0, 5))
def test_scans_of_any_bytes_are_counted_without_an_error(data: bytes, most: int):
    assert has_more_scans(data, most) in (True, False)
    assert not has_more_scans(data, 300)


def test_the_pixel_limit_is_the_callers():
    with pytest.raises(PhotoTooLarge, match="96×64"):
        decode(encode(scene()), 32, max_pixels=96 * 64 - 1)
    decode(encode(scene()), 32, max_pixels=96 * 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_photo_is_unreadable(kind: str):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    data = encode(noise, kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(PhotoUnreadable):
            decode(data[: int(len(data) * share)], 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"a text named photo.jpg", "not a JPEG"), (encode(scene(), "GIF"), "not a JPEG, PNG or WebP")],
)
def test_what_is_no_photo_is_refused_with_its_reason(data: bytes, reason: str):
    with pytest.raises(PhotoUnreadable, match=reason):
        decode(data, 32)


@settings(max_examples=examples(150))
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_give_pixels_or_a_photo_error_and_nothing_else(kind: str, changes: list[tuple[int, int]]):
    data = bytearray(encode(scene(), kind))
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(PhotoError):
        assert decode(bytes(data), 16, max_pixels=1_000_000).shape == (16, 16, 3)
