import json
from typing import Any

import numpy as np
import pytest

from serving.settings import Limits

SIZE = 32


def images(*colours):
    palette = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    return np.stack([np.full((SIZE, SIZE, 3), palette[colour], dtype=np.uint8) for colour in colours])


def request(batch, **more: Any) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(batch.shape), "data": batch.ravel().tolist()}
    return {"inputs": [tensor], **more}


def infer(endpoint, document, path="/v2/models/pets/infer"):
    return endpoint.http.post(path, json=document)


def test_health_and_metadata_are_the_protocols(endpoint):
    get = endpoint.http.get
    assert get("/v2").json() == {"name": "petpark", "version": "1", "extensions": ["binary_tensor_data"]}
    assert get("/v2/health/live").status_code == get("/v2/health/ready").status_code == 200
    assert (get("/v2/health/live").json(), get("/v2/health/ready").json()) == ({"live": True}, {"ready": True})
    assert get("/v2/models/pets/ready").status_code == get("/v2/models/pets/versions/1/ready").status_code == 200
    model = get("/v2/models/pets").json()
    assert model["versions"] == ["1"]
    assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, SIZE, SIZE, 3]}]
    assert model["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "embedding", "datatype": "FP32", "shape": [-1, -1]},
        {"name": "activation_map", "datatype": "FP32", "shape": [-1, 2, -1, -1]},
    ]


def test_an_endpoint_without_a_version_is_live_and_not_ready(open_endpoint):
    get = open_endpoint().http.get
    assert get("/v2/health/live").status_code == 200
    not_ready = get("/v2/health/ready")
    assert (not_ready.status_code, not_ready.headers["retry-after"]) == (503, "2")
    assert get("/v2/models/pets").status_code == 503


def test_numbers_in_numbers_out(endpoint):
    answer = infer(endpoint, request(images("red", "blue"), id="seven"))
    assert answer.status_code == 200
    document = answer.json()
    assert (document["id"], document["model_name"], document["model_version"]) == ("seven", "pets", "1")
    outputs = {output["name"]: output for output in document["outputs"]}
    assert outputs["probabilities"]["shape"] == [2, 2]
    cat_red, _, cat_blue, _ = outputs["probabilities"]["data"]
    assert cat_red > 0.9 > 0.1 > cat_blue
    assert outputs["activation_map"]["shape"] == [2, 2, 4, 4]


def test_nested_numbers_are_taken_too(endpoint):
    batch = images("red")
    document = request(batch)
    document["inputs"][0]["data"] = batch.tolist()
    assert infer(endpoint, document).status_code == 200


def test_null_parameters_are_as_none(endpoint):
    outputs = [{"name": "embedding", "parameters": None}]
    answer = infer(endpoint, {**broken(parameters=None), "parameters": None, "outputs": outputs})
    assert answer.status_code == 200, answer.text


def test_only_the_outputs_asked_for_come_back(endpoint):
    document = infer(endpoint, request(images("red"), outputs=[{"name": "embedding"}])).json()
    assert [output["name"] for output in document["outputs"]] == ["embedding"]


def test_binary_tensors_travel_behind_the_json_both_ways(endpoint):
    batch = images("red", "blue")
    header = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "UINT8",
                    "shape": list(batch.shape),
                    "parameters": {"binary_data_size": batch.nbytes},
                }
            ],
            "outputs": [{"name": "embedding"}, {"name": "probabilities", "parameters": {"binary_data": True}}],
        }
    ).encode()
    answer = endpoint.http.post(
        "/v2/models/pets/infer",
        content=header + batch.tobytes(),
        headers={"inference-header-content-length": str(len(header)), "content-type": "application/octet-stream"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    embedding, probabilities = json.loads(answer.content[:length])["outputs"]
    assert "data" in embedding
    assert probabilities["parameters"] == {"binary_data_size": 16}
    values = np.frombuffer(answer.content[length:], dtype=np.float32).reshape(2, 2)
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    assert values[0, 0] > 0.9 > values[1, 0]


@pytest.mark.parametrize("path", ["/v2/models/cars/infer", "/v2/models/pets/versions/2/infer"])
def test_another_model_or_version_than_the_one_in_force_is_not_found(endpoint, path):
    answer = infer(endpoint, request(images("red")), path)
    assert answer.status_code == 404
    assert answer.json()["error"]


def broken(**changes):
    document = request(images("red"))
    document["inputs"][0] |= changes
    return document


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"inputs": {}},
        {"inputs": []},
        {"inputs": [1]},
        {"inputs": [{}, {}]},
        broken(name="picture"),
        broken(datatype="FP32"),
        broken(shape=[1, 3, SIZE, SIZE]),
        broken(shape=[0, SIZE, SIZE, 3]),
        broken(shape=[-1, SIZE, SIZE, 3]),
        broken(shape=[True, SIZE, SIZE, 3]),
        broken(shape=None),
        broken(shape=[2, SIZE, SIZE, 3]),
        broken(data=[1, 2, 3]),
        broken(data=[256] * SIZE * SIZE * 3),
        broken(data=[0.5] * SIZE * SIZE * 3),
        broken(data=[10**400] * SIZE * SIZE * 3),
        broken(data=[[1], [1, 2]]),
        broken(data="x" * SIZE * SIZE * 3),
        broken(data=None),
        broken(data={}),
        broken(parameters=[]),
        broken(parameters={"binary_data_size": 7}),
        broken(parameters={"binary_data_size": "7"}),
        request(images("red"), outputs=[{"name": "secrets"}]),
        request(images("red"), outputs=[{"name": "embedding"}] * 2),
        request(images("red"), outputs=7),
        request(images("red"), outputs=[7]),
        request(images("red"), outputs=[{"name": {}}]),
        request(images("red"), parameters=7),
    ],
)
def test_a_request_that_is_not_the_protocols_is_refused_with_its_reason(endpoint, document):
    answer = infer(endpoint, document)
    assert answer.status_code == 422
    assert answer.json()["error"] == answer.json()["detail"]


def test_a_dimension_is_a_number_of_31_bits(endpoint):
    answers = [infer(endpoint, broken(shape=[rows, SIZE, SIZE, 3])).json()["error"] for rows in (2**31 - 1, 2**31)]
    assert ["non-negative integers" in answer for answer in answers] == [False, True]


@pytest.mark.parametrize("length", ["x", "-1", "99999999999999", "5000000"])
def test_a_header_length_that_cannot_be_is_refused(endpoint, length):
    headers = {"inference-header-content-length": length}
    assert endpoint.http.post("/v2/models/pets/infer", content=b"{}", headers=headers).status_code == 422


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"inputs": [{"shape": [1e999]}]}'])
def test_a_body_that_is_no_json_is_refused(endpoint, body):
    assert endpoint.http.post("/v2/models/pets/infer", content=body).status_code == 422


def test_a_batch_beyond_the_limit_is_refused(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(batch=2))
    endpoint.follow()
    assert infer(endpoint, request(images("red", "red"))).status_code == 200
    assert infer(endpoint, request(images("red", "red", "red"))).status_code == 413
