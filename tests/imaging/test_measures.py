"""Measures agree with the eye: blur is less sharp, night is darker, a re-encoded photo keeps its hash."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter

from imaging import PhotoUnreadable, captured_at, measure, perceptual_hash


def picture(seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def distance(a: bytes, b: bytes) -> int:
    return (perceptual_hash(a) ^ perceptual_hash(b)).bit_count()


def test_size_is_given_as_displayed():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = measure(jpeg(picture(), exif=exif))
    assert (lying.width, lying.height, lying.format) == (240, 320, "JPEG")


def test_a_blurred_photo_is_less_sharp():
    assert measure(jpeg(picture().filter(ImageFilter.GaussianBlur(8)))).sharpness < measure(jpeg(picture())).sharpness


def test_brightness_runs_from_black_to_white():
    assert measure(jpeg(Image.new("RGB", (64, 64), "black"))).brightness == pytest.approx(0)
    assert measure(jpeg(Image.new("RGB", (64, 64), "white"))).brightness == pytest.approx(1)


def test_the_time_is_told_without_decoding_as_it_is_with():
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:03:01 21:04:05"
    for data in (jpeg(picture(), exif=exif), jpeg(picture())):
        assert captured_at(data) == measure(data).captured_at
    assert captured_at(jpeg(picture(), exif=exif)[:-300]) == "2026-03-01T21:04:05"


def test_measures_are_what_manifests_of_earlier_times_hold():
    """Photos of many ingestions are compared: a measure that changed would no longer mean what stored manifests say."""
    across, down = np.meshgrid(np.arange(200), np.arange(150))
    pixels = np.stack([across * 7 % 256, (across * down) % 256, (across // 9 * 31 + down) % 256], axis=2)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    found = measure(file.getvalue())
    assert f"{found.perceptual_hash:016x}" == "d4d496969696b6b6"
    assert (found.brightness, found.sharpness) == (pytest.approx(0.4869, abs=1e-4), pytest.approx(0.407935, abs=1e-6))


def test_a_re_encoded_or_rescaled_photo_keeps_its_hash_and_another_does_not():
    original = jpeg(picture(), quality=95)
    assert distance(original, jpeg(picture(), quality=40)) <= 3
    assert distance(original, jpeg(picture().resize((200, 150)))) <= 3
    assert distance(original, jpeg(picture(1))) > 15
    assert measure(original).perceptual_hash == perceptual_hash(original)


def test_the_hash_has_64_bits_with_the_top_left_first():
    rising = Image.fromarray(np.tile(np.linspace(0, 255, 256, dtype=np.uint8), (64, 1)))
    assert perceptual_hash(jpeg(rising)) == 2**64 - 1


def test_a_truncated_photo_is_not_measured():
    with pytest.raises(PhotoUnreadable):
        measure(jpeg(picture())[:1500])


def test_the_time_of_capture_is_the_cameras_or_unknown():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2026:03:01 21:04:05"
    assert measure(jpeg(picture(), exif=exif)).captured_at == "2026-03-01T21:04:05"
    exif.get_ifd(0x8769)[0x9003] = "0000:00:00 00:00:00"
    assert measure(jpeg(picture(), exif=exif)).captured_at is None
    assert measure(jpeg(picture())).captured_at is None
