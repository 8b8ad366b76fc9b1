import json
from contextlib import nullcontext

import numpy as np
import onnx
import pytest

from serving.inference.session import ModelInvalid, Session


def rewritten(path, change):
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def set_metadata(**values):
    def change(model):
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, values)

    return change


def rename_output(model):
    model.graph.output[1].name = "features"
    model.graph.node[4].output[0] = "features"
    model.graph.node[5].input[0] = "features"


def test_a_model_says_its_labels_and_size_and_answers_batches(make_model, tmp_path):
    session = Session(make_model(tmp_path / "model.onnx"))
    assert (session.labels, session.size) == (("cat", "dog"), 32)
    answers = session.answers(np.zeros((3, 32, 32, 3), dtype=np.uint8))
    assert answers.probabilities.shape == (3, 2)
    assert answers.embedding.shape == (3, 3)
    assert answers.activation_map.shape == (3, 2, 4, 4)


@pytest.mark.parametrize(("size", "taken"), [(7, False), (8, True), (4096, True), (4097, False)])
def test_a_models_size_is_8_to_4096_pixels(make_model, tmp_path, size, taken):
    path = rewritten(make_model(tmp_path / "model.onnx"), set_metadata(labels='["cat", "dog"]', size=str(size)))
    with nullcontext() if taken else pytest.raises(ModelInvalid, match="8 to 4096"):
        assert Session(path).size == size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_metadata(size="32"), "labels"),
        (set_metadata(labels='["cat", "dog"]'), "size"),
        (set_metadata(labels="cat,dog", size="32"), "labels"),
        (set_metadata(labels='["cat"]', size="32"), "two class names"),
        (set_metadata(labels=json.dumps({"cat": 0}), size="32"), "two class names"),
        (set_metadata(labels='["cat", "dog"]', size="big"), "size"),
        (set_metadata(labels='["cat", "dog"]', size="100000"), "8 to 4096"),
        (rename_output, "lacks embedding"),
    ],
)
def test_a_model_that_does_not_keep_the_contract_is_refused(make_model, tmp_path, change, message):
    path = rewritten(make_model(tmp_path / "model.onnx"), change)
    with pytest.raises(ModelInvalid, match=message):
        Session(path)
