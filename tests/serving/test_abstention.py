"""Where a version carries a record of abstention, a caller who asks gets a set of classes, or neither."""

import json

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from camera.classifier import Classifier
from imaging import decode
from registry.versions.abstention import ABSTENTION_FILE, Abstention
from serving.grpc import open_inference_pb2 as pb
from serving.inference.session import Session
from tests.camera.conftest import DOG, closed_later
from tests.serving.grpc.test_grpc import ask, images, numbers, request
from tests.serving.park import LABELS, SIZE
from training.networks.strangeness import Subspace, add_output


def abstaining(limit=1.0, thresholds=0.0, *, output=True, body=None, probed=None):
    """Returns a change of a version's files: the output of its model, the record, and what probes say of strangeness.

    `probed` is added to the strangeness that the model gives its probe photos; None: the probes say none.
    """

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
        if probed is not None:
            probes = json.loads(files["probes.json"].read_text())
            for probe in probes:
                pixels = decode(files[probe["photo"]].read_bytes(), SIZE)[np.newaxis]
                message = float(Session(files["model.onnx"]).outputs(pixels, ("strangeness",))["strangeness"][0])
                probe["strangeness"] = message + probed
            files["probes.json"].write_text(json.dumps(probes))
        files[ABSTENTION_FILE] = files["model.onnx"].with_name(ABSTENTION_FILE)
        files[ABSTENTION_FILE].write_bytes(record.to_json() if body is None else body)

    return change


def test_a_caller_who_asks_gets_the_classes_and_others_get_what_they_always_got(answering_by, make_photo):
    endpoint = answering_by(abstaining(thresholds=0.0))
    usual, arguments = endpoint.classify(make_photo()).json(), endpoint.classify(make_photo(), abstain="true").json()
    output = arguments.pop("abstention")
    assert "abstention" not in usual
    assert (arguments["label"], arguments["probabilities"]) == (usual["label"], usual["probabilities"])
    assert output["answer"] == "cat or dog?"
    assert output["classes"][0] == usual["label"]
    assert output["coverage"] == 0.9
    assert 0 <= output["strangeness"] <= 1


def test_a_photo_beyond_the_limit_is_neither(answering_by, make_photo):
    endpoint = answering_by(abstaining(limit=0.0))
    output = [endpoint.classify(make_photo(colour), abstain="1").json()["abstention"] for colour in ("red", "blue")]
    assert {"neither"} == {one["answer"] for one in output if one["strangeness"] > 0}
    assert any(one["strangeness"] > 0 for one in output)
    assert all(one["classes"] == [] for one in output if one["strangeness"] > 0)


def test_a_batch_abstains_photo_by_photo(answering_by, make_photo):
    endpoint = answering_by(abstaining(thresholds=1.0))
    files = [("photo", ("one.jpg", make_photo()))]
    (result,) = endpoint.http.post("/v1/classify/batch?abstain=true", files=files).json()["results"]
    assert result["abstention"]["classes"] == [result["label"]]


@pytest.mark.parametrize("change", [abstaining(thresholds=0.0), None], ids=["with a record", "without one"])
@pytest.mark.parametrize(
    ("path", "shape"),
    [("/v1/classify", "Classification"), ("/v1/classify/batch", "Batch"), ("/v1/model", "ServedModel")],
)
def test_the_documented_answers_are_the_real_ones(answering_by, make_photo, change, path, shape):
    endpoint = answering_by(change)
    document = endpoint.http.get("/openapi.json").json()
    if path == "/v1/model":
        answer = endpoint.model()
    else:
        files = [("image" if path == "/v1/classify" else "photo", ("one.jpg", make_photo()))]
        answer = endpoint.http.post(f"{path}?abstain=true", files=files).json()
        arguments = [one["name"] for one in document["paths"][path]["post"]["parameters"]]
        assert "abstain" in arguments
    output = [result["abstention"] for result in answer["results"]] if shape == "Batch" else [answer["abstention"]]
    assert [one is None for one in output] == [change is None]
    schema = {"$ref": f"#/components/schemas/{shape}", "components": document["components"]}
    Draft202012Validator(schema).validate(answer)
    assert set(answer) <= set(document["components"]["schemas"][shape]["properties"])


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
    arguments = {"inputs": [image], "outputs": [{"name": "strangeness"}]}
    (output,) = endpoint.http.post("/v2/models/pets/infer", json=arguments).json()["outputs"]
    assert output["shape"] == [1]
    usual = endpoint.http.post("/v2/models/pets/infer", json={"inputs": [image]}).json()["outputs"]
    assert [one["name"] for one in usual] == ["probabilities", "embedding", "activation_map"]


def test_grpc_has_the_tensor_too(answering_by):
    endpoint = answering_by(abstaining())
    arguments = request(images("red", "blue"), outputs=["strangeness"])
    described, answer = ask(
        endpoint, ("ModelMetadata", pb.ModelMetadataRequest(name="pets")), ("ModelInfer", arguments)
    )
    assert [list(one.shape) for one in described.outputs if one.name == "strangeness"] == [[-1]]
    session = endpoint.live.deployed.model.session
    (output,) = numbers(answer).values()
    assert output.tolist() == session.outputs(images("red", "blue"), ("strangeness",))["strangeness"].tolist()
    (usual,) = ask(endpoint, ("ModelInfer", request(images("red"))))
    assert list(numbers(usual)) == ["probabilities", "embedding", "activation_map"]


def test_the_model_in_force_says_when_it_abstains(answering_by):
    record = answering_by(abstaining(limit=0.5)).model()["abstention"]
    assert (record["coverage"], record["strangeness"], record["grouped_by"]) == (0.9, 0.5, "breed")
    assert set(record["thresholds"]) == set(LABELS)


def test_a_model_that_cannot_abstain_says_so(endpoint):
    assert endpoint.model()["abstention"] is None


def test_a_process_that_computes_the_trainers_strangeness_serves(answering_by):
    assert answering_by(abstaining(probed=0.0)).refusal is None


def test_a_process_that_computes_another_strangeness_does_not_serve(answering_by):
    endpoint = answering_by(abstaining(probed=0.01))
    assert endpoint.refusal == (1, "ProbesFailed")
    assert "strangeness" in endpoint.model()["refused"]["detail"]


def test_probes_with_a_strangeness_need_a_model_that_has_it(answering_by):
    def change(files):
        probes = [probe | {"strangeness": 0.1} for probe in json.loads(files["probes.json"].read_text())]
        files["probes.json"].write_text(json.dumps(probes))

    assert answering_by(change).refusal == (1, "ProbesFailed")


@pytest.mark.parametrize("change", [abstaining(output=False), abstaining(body=b"{}")])
def test_a_record_that_cannot_be_followed_is_refused(answering_by, change):
    endpoint = answering_by(change)
    assert endpoint.refusal == (1, "ModelInvalid")


@pytest.mark.parametrize(("answer", "seen"), [("neither", 0.0), ("dog", 0.95), (None, 0.95)])
def test_a_camera_takes_neither_as_a_frame_without_visitors(answer, seen):
    requests = []

    def endpoint(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.query)
        probabilities = {"cat": 0.05, "dog": 0.95}
        return httpx.Response(
            200, json=DOG | {"probabilities": probabilities, "abstention": answer and {"answer": answer}}
        )

    found = closed_later(Classifier("http://127.0.0.1:8080", transport=httpx.MockTransport(endpoint))).classify(
        b"photo"
    )
    assert requests == [b"abstain=true"]
    assert found.probabilities["dog"] == seen
