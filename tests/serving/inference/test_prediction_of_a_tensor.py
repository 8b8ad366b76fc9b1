"""An image of a tensor gets the answer that a photo with the same probabilities gets."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from registry.versions.decision import Decision
from serving.inference.loaded_model import STRANGENESS, LoadedModel

OUTPUTS = {
    "probabilities": np.array([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625]], dtype=np.float32),
    "embedding": np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32),
    STRANGENESS: np.array([0.125, 0.5], dtype=np.float32),
}
IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def model(*, decision: Decision | None = None, abstention: object = None) -> LoadedModel:
    labels = ("cat", "dog", "fox")
    return cast(LoadedModel, SimpleNamespace(labels=labels, decision=decision, abstention=abstention))


def decision(threshold: float) -> Decision:
    return Decision(positive="dog", threshold=threshold, false_positive_cost=1, false_negative_cost=1)


@pytest.mark.parametrize(
    ("decided", "labels"),
    [(None, ("cat", "fox")), (decision(0.25), ("dog", "dog")), (decision(0.26), ("cat", "fox"))],
)
def test_the_label_follows_the_versions_decision(decided, labels):
    found = [LoadedModel.prediction_of(model(decision=decided), IMAGE, OUTPUTS, item, 0.5) for item in (0, 1)]
    assert tuple(each.label for each in found) == labels


def test_everything_else_is_that_images_own():
    found = LoadedModel.prediction_of(model(abstention=object()), IMAGE, OUTPUTS, 1, 0.5)
    assert found.probabilities == {"cat": 0.125, "dog": 0.25, "fox": 0.625}
    assert (found.seconds, found.strangeness, found.activation_map) == (0.5, 0.5, None)
    assert found.embedding is not None
    assert found.embedding.tolist() == [3.0, 4.0]
    assert found.pixels is not None
    assert np.array_equal(found.pixels, IMAGE)
    for copied, of in ((found.embedding, OUTPUTS["embedding"]), (found.pixels, IMAGE)):
        assert not np.shares_memory(copied, of)
    assert LoadedModel.prediction_of(model(), IMAGE, OUTPUTS, 1, 0.5).strangeness is None
