"""One prediction as a row: each column is what was answered, measured or declared, or left out by the policy."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

import imaging
from registry.telemetry import COLUMNS, CallerClass, TelemetryPolicy
from serving.inference.loaded_model import Prediction
from serving.recording.observation import Observation, RowMaker, half_precision
from tests.serving.recording.recorded import NOON, PHOTO, loaded

DIGEST = f"sha256:{'0' * 64}"
PIXELS = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
EMBEDDING = np.array([1.0, -0.5, 1e9, -1e9], dtype=np.float32)
FOUND = Prediction(
    label="dog",
    probabilities={"cat": 0.25, "dog": 0.75},
    seconds=0.01,
    pixels=PIXELS,
    embedding=EMBEDDING,
    strangeness=0.4,
)
SEEN = Observation(
    at=NOON + 61.5,
    request_id="r-7",
    item=2,
    camera="gate",
    model=loaded(3, DIGEST),
    entry=9,
    arm="challenger",
    found=FOUND,
    photo=PHOTO,
    latency=0.02,
)


def maker(**policy) -> RowMaker:
    return RowMaker(policy=TelemetryPolicy(sample_percent=100, **policy), stack="prod", channel="test", instance="i-1")


def columns(row, *, without=()) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in COLUMNS if column.name not in without}


def test_a_row_has_every_column_of_what_was_seen():
    measured = imaging.input_statistics(PIXELS, width=64, height=48)
    row = maker().row(SEEN)
    assert columns(row) == {
        "id": "r-7",
        "item": 2,
        "at": datetime(2026, 8, 1, 12, 1, 1, 500_000, tzinfo=UTC),
        "instance": "i-1",
        "model": "pets",
        "version": 3,
        "digest": DIGEST,
        "channel": "test",
        "entry": 9,
        "arm": "challenger",
        "label": "dog",
        "labels": ("cat", "dog"),
        "probabilities": (0.25, 0.75),
        "strangeness": 0.4,
        "embedding": np.array([1.0, -0.5, 65504.0, -65504.0], dtype="<f2").tobytes(),
        "brightness": measured.brightness,
        "contrast": measured.contrast,
        "sharpness": measured.sharpness,
        "chroma": measured.chroma,
        "width": 64,
        "height": 48,
        "photo_bytes": len(PHOTO),
        "seconds": 0.01,
        "latency": 0.02,
        "thumbnail": None,
    }


def test_statistics_are_measured_with_the_photos_own_size():
    sizes = []

    def measure(pixels, *, width, height):
        sizes.append((width, height))
        return measured(pixels, width=width, height=height)

    measured = imaging.input_statistics
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imaging, "input_statistics", measure)
        maker().row(SEEN)
        maker().row(replace(SEEN, photo=None))
    assert sizes == [(64, 48), (0, 0)]


def test_a_tensor_has_no_size_and_no_bytes_of_a_photo():
    row = maker().row(replace(SEEN, photo=None))
    assert (row.width, row.height, row.photo_bytes) == (None, None, None)
    missing = ("width", "height", "photo_bytes", "sharpness")
    assert columns(row, without=missing) == columns(maker().row(SEEN), without=missing)


@pytest.mark.parametrize("column", ["id", "embedding"])
def test_a_redacted_column_is_empty_and_no_other(column):
    row = maker(redact=(column,)).row(SEEN)
    assert getattr(row, column) is None
    assert columns(row, without=[column]) == columns(maker().row(SEEN), without=[column])


@pytest.mark.parametrize(("redact", "camera"), [((), "gate"), (("camera",), CallerClass.REDACTED), (("id",), "gate")])
def test_a_partition_is_of_the_stack_the_camera_and_the_hour(redact, camera):
    partition = maker(redact=redact).partition(SEEN)
    assert (partition.stack, partition.camera, partition.hour) == ("prod", camera, datetime(2026, 8, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(("pixels", "side"), [((200, 200, 3), 96), ((96, 96, 3), 96), ((40, 10, 3), 20)])
def test_a_thumbnail_is_a_small_square_jpeg_that_is_never_larger_than_the_pixels(pixels, side):
    seen = replace(SEEN, found=replace(FOUND, pixels=np.full(pixels, 200, dtype=np.uint8)))
    thumbnail = maker(thumbnails=("gate",)).row(seen).thumbnail
    assert thumbnail is not None
    picture = Image.open(io.BytesIO(thumbnail))
    assert (picture.format, picture.size, picture.mode) == ("JPEG", (side, side), "RGB")
    assert abs(float(np.asarray(picture).mean()) - 200) < 2


def test_a_thumbnail_is_of_named_cameras_only():
    assert maker(thumbnails=("pond",)).row(SEEN).thumbnail is None
    assert maker(thumbnails=("*",)).row(SEEN).thumbnail is not None


def test_what_is_held_counts_every_part():
    """1024 bytes for the objects, and what they refer to."""
    assert SEEN.bytes_held == len(PHOTO) + 200 * 200 * 3 + 16 + 1024
    bare = replace(SEEN, photo=None, found=replace(FOUND, pixels=None, embedding=None))
    assert bare.bytes_held == 1024
    row = maker(thumbnails=("*",)).row(SEEN)
    assert row.bytes_held == 1024 + 3 + 2 * 32 + 8 + len(row.thumbnail or b"")
    assert maker(redact=("id", "embedding")).row(SEEN).bytes_held == 1024 + 2 * 32


def test_a_prediction_without_pixels_cannot_be_recorded():
    with pytest.raises(ValueError, match="without pixels"):
        maker().row(replace(SEEN, found=replace(FOUND, pixels=None)))


def test_half_precision_is_little_endian_and_within_its_range():
    assert half_precision(np.array([1.0], dtype=np.float32)) == b"\x00\x3c"
    assert half_precision(np.array([np.inf, -np.inf], dtype=np.float32)) == b"\xff\x7b\xff\xfb"
