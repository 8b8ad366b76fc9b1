"""Eight bits keep the contract, and serve only if nothing is lost by them and time is won."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tests.training.conftest import TINY, Built
from training.dataset.manifest import Split
from training.errors import SpecMalformed
from training.fitting.pixels import LabelledPixels, load_pixels
from training.hyper_parameters import ARCHITECTURES
from training.jobs.version.quantise import Quantised, compare_quantised, quantise
from training.networks.export import ExportedModel, export_onnx
from training.networks.model import Classifier
from training.plan import Checks

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
    names = [output.name for output in session.get_outputs()]
    assert names == ["probabilities", "embedding", "activation_map", "strangeness"]
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * whole.stat().st_size
    found = compare_quantised(before, after, photos, calls=3)
    assert found.agreement > 0.95
    assert 0 < found.largest_difference < 0.2
    assert np.allclose(after.classify(photos.pixels.numpy()).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"agreement": 0.97}, "same label"),
        ({"accuracy": 0.93}, "accuracy falls"),
        ({"accuracy": 0.945, "p_value": 0.01}, "accuracy falls"),
        ({"milliseconds": 2}, "no faster"),
    ],
)
def test_what_loses_or_wins_nothing_is_refused(changes: dict[str, float], expected: str):
    assert FINE.refused == ""
    assert expected in replace(FINE, **changes).refused


def test_eight_bits_are_tried_by_default_of_networks_that_were_made_for_them():
    assert {name for name in ARCHITECTURES if Checks().in_eight_bits(name)} == {
        "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2",
    }  # fmt: skip
    assert all(Checks(int8=1).in_eight_bits(name) for name in ARCHITECTURES)
    assert not any(Checks(int8=0).in_eight_bits(name) for name in ARCHITECTURES)
    with pytest.raises(SpecMalformed, match="int8 must be 0, 1 or 2"):
        Checks(int8=3)


def test_an_activation_that_is_clipped_is_in_eight_bits_too(tmp_path: Path):
    """ReLU6 is a Clip: left in floats, every convolution's result would go there and back."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU6())
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    export_onnx(Classifier(net, 8, 2), tmp_path / "float.onnx", labels=["cat", "dog"], size=16)
    quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx", pixels)
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "int8.onnx")).graph.node]
    assert "Clip" in [node.op_type for node in onnx.load(str(tmp_path / "float.onnx")).graph.node]
    assert "Clip" not in kinds  # the range of what is quantised says it
