"""Input statistics agree with the eye, and serving and training get the same ones."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFilter

from imaging import INPUT_STATISTICS, InputStatistics, PhotoUnreadable, decode, input_statistics, measure, photo_size


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def picture(seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)


def described(image: Image.Image) -> InputStatistics:
    return input_statistics(np.asarray(image.convert("RGB")), width=image.width, height=image.height)


def test_infra_red_has_no_chroma_and_pure_colour_has_all():
    assert described(picture().convert("L")).chroma == 0
    assert described(Image.new("RGB", (8, 8), (255, 0, 0))).chroma == pytest.approx(1)
    assert 0.2 < described(picture()).chroma < 0.8


def test_night_is_darker_fog_has_less_contrast_and_a_smeared_lens_is_less_sharp():
    seen = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    day = described(Image.fromarray(seen))
    assert described(Image.fromarray(seen // 4)).brightness < day.brightness / 3
    assert described(Image.fromarray(150 + seen // 4)).contrast < day.contrast / 3
    assert described(Image.fromarray(seen).filter(ImageFilter.GaussianBlur(2))).sharpness < day.sharpness / 3


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 40))
def test_statistics_stay_in_their_ranges_and_ignore_mirroring(seed: int, side: int):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    found = input_statistics(pixels, width=side, height=side)
    mirrored = input_statistics(np.ascontiguousarray(pixels[:, ::-1]), width=side, height=side)
    assert 0 <= found.brightness <= 1
    assert 0 <= found.contrast <= 0.5 + 1e-6
    assert found.sharpness >= 0
    assert 0 <= found.chroma <= 1
    assert mirrored.as_row() == pytest.approx(found.as_row(), rel=1e-4)


def test_at_the_size_at_which_ingestion_measures_the_figures_are_those_of_the_manifest():
    data = jpeg(picture())
    found, measured = input_statistics(decode(data, 128), width=320, height=240), measure(data)
    assert found.brightness == pytest.approx(measured.brightness, abs=1e-4)
    assert found.sharpness == pytest.approx(measured.sharpness, abs=1e-6)


def test_a_row_has_the_numbers_in_the_order_of_their_names():
    found = described(picture())
    assert found.as_row() == tuple(getattr(found, name) for name in INPUT_STATISTICS)


def test_size_is_given_as_displayed_and_from_the_header_alone():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = jpeg(picture(), exif=exif)
    assert photo_size(data) == (240, 320)
    assert photo_size(jpeg(picture())) == (320, 240)
    assert photo_size(data[:900]) == (240, 320)
    with pytest.raises(PhotoUnreadable):
        photo_size(b"no photo")


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (2, 8, 3), (1, 8, 8, 3)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="expected pixels"):
        input_statistics(np.zeros(shape, dtype=np.uint8), width=1, height=1)
