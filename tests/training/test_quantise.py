"""Eight bits keep the contract, and serve only if nothing is lost by them and time is won."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.training.conftest import TINY, Built
from training.dataset.split import Split
from training.export import ExportedModel
from training.pixels import LabelledPixels, load_pixels
from training.quantise import Quantised, compare_quantised, quantise

FINE = Quantised(
    agreement=0.99,
    largest_difference=0.01,
    accuracy=0.95,
    accuracy_before=0.95,
    p_value=1,
    milliseconds=1,
    milliseconds_before=2,
)


@pytest.fixture(scope="module")
def photos(built: Built) -> LabelledPixels:
    taken = built.ingestion.manifest.part(Split.TRAIN)
    return load_pixels(built.lake, taken, ("cat", "dog"), TINY.image_size, check=lambda: None)


def test_the_eight_bit_file_answers_alike_and_is_smaller(built: Built, photos: LabelledPixels, tmp_path: Path):
    whole = built.directory / "model.onnx"
    quantise(whole, tmp_path / "int8.onnx", photos.pixels.numpy())
    before, after = ExportedModel(whole), ExportedModel(tmp_path / "int8.onnx")
    assert (after.labels, after.size) == (before.labels, before.size)
    session = onnxruntime.InferenceSession(str(tmp_path / "int8.onnx"), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [
        *("probabilities", "embedding", "activation_map", "strangeness")
    ]
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * whole.stat().st_size
    found = compare_quantised(before, after, photos, calls=3)
    assert found.agreement > 0.95
    assert 0 < found.largest_difference < 0.2
    assert np.allclose(after.classify(photos.pixels.numpy()).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"agreement": 0.97}, "same label"),
        ({"accuracy": 0.93}, "accuracy falls"),
        ({"accuracy": 0.945, "p_value": 0.01}, "accuracy falls"),
        ({"milliseconds": 2}, "no faster"),
    ],
)
def test_what_loses_or_wins_nothing_is_refused(changes: dict[str, float], said: str):
    assert FINE.refused == ""
    assert said in replace(FINE, **changes).refused
