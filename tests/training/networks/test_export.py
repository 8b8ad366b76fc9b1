"""The exported file keeps the contract, and answers as the trained network does."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.training.conftest import TINY, Built
from training.errors import ExportDiffers, SpecMalformed, WeightsRefused
from training.evaluation.figures.temperature import at_temperature
from training.networks.export import ExportedModel, answer_logits, check_parity, export_onnx
from training.networks.model import ARCHITECTURES, build_model, load_initial_weights, to_photos


@pytest.fixture(scope="module")
def exported(built: Built) -> ExportedModel:
    return ExportedModel(built.directory / "model.onnx")


def noise(count: int, size: int = TINY.image_size) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_inputs_and_outputs_are_those_of_the_contract(built: Built):
    graph = onnx.load(str(built.directory / "model.onnx")).graph
    (image,) = graph.input
    assert image.name == "image"
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    shape = [dimension.dim_value or dimension.dim_param for dimension in image.type.tensor_type.shape.dim]
    assert shape == ["N", 32, 32, 3]
    assert [output.name for output in graph.output] == [
        *("probabilities", "embedding", "activation_map", "strangeness")
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 65])
def test_any_number_of_photos_is_answered(exported: ExportedModel, count: int):
    answers = exported.explain(noise(count))
    assert answers.probabilities.shape == (count, 2)
    assert answers.embedding.shape == (count, 256)
    assert answers.activation_map.shape[:2] == (count, 2)
    assert {part.dtype.name for part in vars(answers).values()} == {"float32"}
    assert np.allclose(answers.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_photos_answer_does_not_depend_on_its_neighbours(exported: ExportedModel):
    photos = noise(5)
    assert np.allclose(exported.classify(photos)[2], exported.classify(photos[2:3])[0], atol=1e-5)


def test_labels_and_size_are_in_the_file(exported: ExportedModel):
    assert exported.labels == ("cat", "dog")
    assert exported.size == TINY.image_size


def test_an_export_that_answers_otherwise_is_refused(built: Built, exported: ExportedModel):
    model = build_model(TINY.architecture, 2).eval()
    model.load_state_dict(torch.load(built.directory / "weights.pt", weights_only=True))
    assert json.loads((built.directory / "evaluation.json").read_text())["calibration"]["temperature"]["value"] == 1
    assert check_parity(model, exported, noise(40)) < 1e-4
    with torch.no_grad():
        model.head.bias.add_(torch.tensor([0.1, -0.1]))
    with pytest.raises(ExportDiffers, match="differs by"):
        check_parity(model, exported, noise(40))


def test_the_file_divides_by_its_temperature_and_the_trained_network_stays(built: Built, tmp_path: Path):
    model = build_model(TINY.architecture, 2).eval()
    model.load_state_dict(torch.load(built.directory / "weights.pt", weights_only=True))
    export_onnx(model, tmp_path / "model.onnx", labels=["cat", "dog"], size=TINY.image_size, temperature=2.5)
    exported, pixels = ExportedModel(tmp_path / "model.onnx"), noise(9)
    logits = answer_logits(model, pixels)
    with torch.no_grad():
        assert np.allclose(logits, model.explain(to_photos(torch.from_numpy(pixels)))[0], atol=1e-5)
    answers = exported.explain(pixels)
    assert np.allclose(answers.probabilities, at_temperature(logits, 2.5), atol=1e-5)
    average = answers.activation_map.mean(axis=(2, 3))
    assert np.allclose(average, logits / 2.5, atol=1e-4)
    assert check_parity(model, exported, pixels, temperature=2.5) < 1e-5
    with pytest.raises(ExportDiffers):
        check_parity(model, exported, pixels)
    facts = {each.key: each.value for each in onnx.load(str(tmp_path / "model.onnx")).metadata_props}
    assert facts["temperature"] == "2.5"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_activation_map_averages_to_the_logits(architecture: str):
    model = build_model(architecture, 3).eval()
    with torch.no_grad():
        logits, embedding, activation = model.explain(to_photos(torch.from_numpy(noise(2, 64))))
    assert torch.allclose(activation.mean(dim=(2, 3)), logits, atol=1e-4)
    assert embedding.shape == (2, model.head.in_features)


def test_a_model_that_flips_answers_a_photo_and_its_mirror_image_alike(tmp_path: Path):
    torch.manual_seed(1)
    model = build_model("resnet8", 3, flips=True).eval()
    export_onnx(model, tmp_path / "model.onnx", labels=["a", "b", "c"], size=32, temperature=2.0)
    exported = ExportedModel(tmp_path / "model.onnx")
    photos = noise(4, 32)
    assert check_parity(model, exported, photos, temperature=2.0) < 1e-5
    answers, mirrored = exported.explain(photos), exported.explain(np.ascontiguousarray(photos[:, :, ::-1]))
    assert np.allclose(answers.probabilities, mirrored.probabilities, atol=1e-5)
    assert np.allclose(answers.activation_map, mirrored.activation_map[..., ::-1], atol=1e-4)
    plain = build_model("resnet8", 3).eval()
    plain.load_state_dict(model.state_dict())
    assert not np.allclose(answer_logits(plain, photos), answer_logits(model, photos), atol=1e-4)
    logits, _, activation = model.explain(to_photos(torch.from_numpy(photos)))
    assert torch.allclose(activation.mean(dim=(2, 3)), logits, atol=1e-4)


@pytest.mark.parametrize(
    "architecture", ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "efficientnet_lite0"]
)
def test_every_network_answers_the_same_after_export(architecture: str, tmp_path: Path):
    torch.manual_seed(1)
    model = build_model(architecture, 3).eval()
    export_onnx(model, tmp_path / "model.onnx", labels=["a", "b", "c"], size=64)
    exported = ExportedModel(tmp_path / "model.onnx")
    pixels = noise(3, 64)
    assert check_parity(model, exported, pixels) < 1e-5
    answers = exported.explain(pixels)
    with torch.no_grad():
        _, embedding, activation = model.explain(to_photos(torch.from_numpy(pixels)))
    assert np.allclose(answers.embedding, embedding, atol=1e-4)
    assert np.allclose(answers.activation_map, activation, atol=1e-4)


def test_an_unknown_architecture_is_refused_with_those_that_exist():
    with pytest.raises(SpecMalformed, match="mobilenet_v3_small"):
        build_model("lenet", 2)


def test_trained_weights_are_taken_over_except_a_head_for_other_classes():
    trained, model = build_model("resnet8", 5), build_model("resnet8", 2)
    head = model.head.weight.clone()
    load_initial_weights(model, trained.state_dict())
    assert torch.equal(model.features.state_dict()["conv1.weight"], trained.features.state_dict()["conv1.weight"])
    assert torch.equal(model.head.weight, head)


def test_torchvisions_own_names_are_understood():
    from torchvision.models import resnet18

    theirs, model = resnet18(), build_model("resnet18", 2)
    load_initial_weights(model, theirs.state_dict())
    name = "layer4.1.conv2.weight"
    assert torch.equal(model.features.state_dict()[name], theirs.state_dict()[name])


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(WeightsRefused, match="fit this architecture"):
        load_initial_weights(build_model("resnet8", 2), build_model("mobilenet_v3_small", 2).state_dict())


def test_the_file_is_one_file(built: Built):
    assert [path.name for path in Path(built.directory).glob("model.onnx*")] == ["model.onnx"]
