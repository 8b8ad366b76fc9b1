"""Where a version carries a record of abstention, a caller who asks gets a set of classes, or neither."""

import httpx
import numpy as np
import pytest

from registry.abstention import ABSTENTION_FILE, Abstention
from serving.camera.classifier import Classifier
from serving.session import Session
from tests.serving.camera.conftest import DOG, closed_later
from tests.serving.park import LABELS
from training.strangeness import Subspace, add_output


def abstaining(limit=1.0, thresholds=0.0, *, output=True, body=None):
    """Give a change of a version's files: the output of its model, and the record."""

    def change(files):
        if output:
            model = files["model.onnx"]
            images = np.zeros((1, *[Session(model).size] * 2, 3), np.uint8)
            width = Session(model).outputs(images, ("embedding",))["embedding"].shape[1]
            add_output(model, Subspace(mean=np.zeros(width, np.float32), components=np.eye(width, 1, dtype=np.float32)))
        record = Abstention(
            coverage=0.9,
            strangeness=limit,
            thresholds=dict.fromkeys(LABELS, thresholds),
            grouped_by="breed",
            groups=9,
            photos=99,
        )
        files[ABSTENTION_FILE] = files["model.onnx"].with_name(ABSTENTION_FILE)
        files[ABSTENTION_FILE].write_bytes(record.to_json() if body is None else body)

    return change


@pytest.fixture
def answering_by(park, open_endpoint):
    def open_one(change):
        version = park.publish(change=change)
        park.certify(version)
        park.release(version)
        endpoint = open_endpoint()
        endpoint.follow()
        return endpoint

    return open_one


def test_a_caller_who_asks_gets_the_classes_and_others_get_what_they_always_got(answering_by, make_photo):
    endpoint = answering_by(abstaining(thresholds=0.0))
    usual, asked = endpoint.classify(make_photo()).json(), endpoint.classify(make_photo(), abstain="true").json()
    told = asked.pop("abstention")
    assert "abstention" not in usual
    assert (asked["label"], asked["probabilities"]) == (usual["label"], usual["probabilities"])
    assert told["answer"] == "cat or dog?"
    assert told["classes"][0] == usual["label"]
    assert told["coverage"] == 0.9
    assert 0 <= told["strangeness"] <= 1


def test_a_photo_beyond_the_limit_is_neither(answering_by, make_photo):
    endpoint = answering_by(abstaining(limit=0.0))
    told = [endpoint.classify(make_photo(colour), abstain="1").json()["abstention"] for colour in ("red", "blue")]
    assert {"neither"} == {one["answer"] for one in told if one["strangeness"] > 0}
    assert any(one["strangeness"] > 0 for one in told)
    assert all(one["classes"] == [] for one in told if one["strangeness"] > 0)


def test_a_batch_abstains_photo_by_photo(answering_by, make_photo):
    endpoint = answering_by(abstaining(thresholds=1.0))
    files = [("photo", ("one.jpg", make_photo()))]
    (result,) = endpoint.http.post("/v1/classify/batch?abstain=true", files=files).json()["results"]
    assert result["abstention"]["classes"] == [result["label"]]


def test_a_version_without_a_record_says_null(endpoint, make_photo):
    assert endpoint.classify(make_photo(), abstain="true").json()["abstention"] is None


def test_an_unknown_value_of_the_parameter_is_refused(endpoint, make_photo):
    assert endpoint.classify(make_photo(), abstain="maybe").status_code == 422


def test_the_tensor_is_there_for_those_who_name_it(answering_by):
    endpoint = answering_by(abstaining())
    described = endpoint.http.get("/v2/models/pets").json()
    assert {"name": "strangeness", "datatype": "FP32", "shape": [-1]} in described["outputs"]
    assert described["parameters"]["abstention"]["grouped_by"] == "breed"
    shape = [1, *described["inputs"][0]["shape"][1:]]
    image = {"name": "image", "datatype": "UINT8", "shape": shape, "data": [7] * int(np.prod(shape))}
    asked = {"inputs": [image], "outputs": [{"name": "strangeness"}]}
    (output,) = endpoint.http.post("/v2/models/pets/infer", json=asked).json()["outputs"]
    assert output["shape"] == [1]
    usual = endpoint.http.post("/v2/models/pets/infer", json={"inputs": [image]}).json()["outputs"]
    assert [one["name"] for one in usual] == ["probabilities", "embedding", "activation_map"]


@pytest.mark.parametrize("change", [abstaining(output=False), abstaining(body=b"{}")])
def test_a_record_that_cannot_be_followed_is_refused(answering_by, change):
    endpoint = answering_by(change)
    assert endpoint.refusal == (1, "ModelInvalid")


@pytest.mark.parametrize(("answer", "seen"), [("neither", 0.0), ("dog", 0.95), (None, 0.95)])
def test_a_camera_takes_neither_as_a_frame_without_visitors(answer, seen):
    asked = []

    def endpoint(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.query)
        probabilities = {"cat": 0.05, "dog": 0.95}
        return httpx.Response(
            200, json=DOG | {"probabilities": probabilities, "abstention": answer and {"answer": answer}}
        )

    found = closed_later(Classifier("http://127.0.0.1:8080", transport=httpx.MockTransport(endpoint))).classify(
        b"photo"
    )
    assert asked == [b"abstain=true"]
    assert found.probabilities["dog"] == seen
