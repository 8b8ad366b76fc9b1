import io
import json

import pytest
from PIL import Image

from serving.settings import Limits


def test_a_photo_gets_the_answer_of_the_contract(endpoint, park):
    answer = endpoint.classify()
    assert answer.status_code == 200
    document = answer.json()
    version = park.catalog.version(1)
    assert document["label"] == "cat"
    assert set(document["probabilities"]) == {"cat", "dog"}
    assert sum(document["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert document["model"] == {"name": "pets", "version": 1, "digest": version.digest}
    assert document["request_id"] == answer.headers["x-request-id"]
    assert "activation_map" not in document


def test_the_colour_decides_the_class(endpoint, make_photo):
    assert endpoint.classify(make_photo("blue")).json()["label"] == "dog"


@pytest.mark.parametrize(("format", "kind"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_jpeg_png_and_webp_are_taken(endpoint, make_photo, format, kind):
    assert endpoint.classify(make_photo(format=format), kind).json()["label"] == "cat"


def test_a_form_with_one_photo_is_taken(endpoint, make_photo):
    answer = endpoint.http.post("/v1/classify", files={"image": ("cat.jpg", make_photo())}, data={"camera": "gate"})
    assert answer.json()["label"] == "cat"


@pytest.mark.parametrize("count", [0, 2])
def test_a_form_without_exactly_one_photo_is_refused(endpoint, make_photo, count):
    parts = [("image", (f"{index}.jpg", make_photo())) for index in range(count)] or [("note", (None, b"no photo"))]
    answer = endpoint.http.post("/v1/classify", files=parts)
    assert answer.status_code == 422
    assert "exactly one photo" in answer.json()["detail"]


def test_an_explanation_says_where_the_photo_speaks_for_each_class(endpoint):
    half = Image.new("RGB", (64, 64), "red")
    half.paste("blue", (32, 0, 64, 64))
    file = io.BytesIO()
    half.save(file, "PNG")
    maps = endpoint.classify(file.getvalue(), "image/png", explain="true").json()["activation_map"]
    assert [len(maps["cat"]), len(maps["cat"][0])] == [4, 4]
    for row in maps["cat"]:
        assert row[0] > 0 > row[-1]
    for row in maps["dog"]:
        assert row[0] < 0 < row[-1]


def test_the_caller_keeps_its_request_id_if_it_is_harmless(endpoint):
    def id_for(given: str) -> str:
        return endpoint.http.get("/healthz/live", headers={"x-request-id": given}).headers["x-request-id"]

    assert id_for("camera-7:42") == "camera-7:42"
    assert id_for("evil\tid") != "evil\tid"
    assert id_for("x" * 65) != "x" * 65


@pytest.mark.parametrize(
    ("body", "kind", "status", "name"),
    [
        (b"", "image/jpeg", 422, "unreadable"),
        (b"not a photo", "image/jpeg", 422, "unreadable"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "image/png", 422, "unreadable"),
        (b"{}", "application/json", 415, "wrong-type"),
        (b"GIF89a", "image/gif", 415, "wrong-type"),
        (b"x", "", 415, "wrong-type"),
        (b"x", "multipart/form-data", 422, "unreadable"),
        (b"--a\r\n", "multipart/form-data; boundary=a", 422, "unreadable"),
    ],
)
def test_a_bad_body_is_a_problem_document(endpoint, body, kind, status, name):
    answer = endpoint.classify(body, kind)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/docs#{name}"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"].endswith(".")


def test_a_truncated_photo_is_unreadable(endpoint, make_photo):
    assert endpoint.classify(make_photo(size=(400, 300))[:900]).status_code == 422


def test_a_body_beyond_the_limit_is_refused_by_its_header_and_by_its_bytes(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(body_bytes=1000))
    endpoint.follow()
    assert endpoint.classify(b"x" * 1001).status_code == 413

    async def unannounced():
        yield b"x" * 600
        yield b"x" * 600

    answer = endpoint.http.post("/v1/classify", content=unannounced(), headers={"content-type": "image/jpeg"})
    assert answer.status_code == 413


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(park, open_endpoint, make_photo):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(pixels=10_000))
    endpoint.follow()
    assert endpoint.classify(make_photo(size=(101, 100))).status_code == 413
    assert endpoint.classify(make_photo(size=(100, 100))).status_code == 200


@pytest.mark.parametrize("value", ["maybe", "2"])
def test_a_parameter_that_is_neither_true_nor_false_is_refused(endpoint, value):
    assert endpoint.classify(explain=value).status_code == 422


def test_addresses_and_methods_that_do_not_exist_are_problems_too(endpoint):
    assert endpoint.http.get("/nowhere").json()["type"] == "/docs#not-found"
    wrong = endpoint.http.get("/v1/classify")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "/docs#method-not-allowed")
    assert wrong.headers["allow"] == "POST"


def test_without_a_version_in_force_callers_are_told_to_come_back(open_endpoint):
    answer = open_endpoint().classify()
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_an_unforeseen_failure_is_a_problem_that_tells_nothing_of_the_inside(endpoint, monkeypatch, caplog):
    def explode(*_args, **_options):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("serving.inference.loaded_model.LoadedModel.classify", explode)
    answer = endpoint.classify()
    assert (answer.status_code, answer.json()["type"]) == (500, "/docs#internal")
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert endpoint.metric("petpark_requests_total", route="/v1/classify", status="500") == 1


def test_predictions_are_counted_by_version_and_label(endpoint):
    endpoint.classify()
    assert endpoint.metric("petpark_predictions_total", version="1", label="cat") == 1
    assert endpoint.metric("petpark_request_seconds_count", route="/v1/classify") == 1


def test_class_names_come_from_the_version_in_any_script(park, open_endpoint):
    version = park.publish(labels=("gató", "犬"))
    park.certify(version)
    park.release(version)
    endpoint = open_endpoint()
    endpoint.follow()
    assert json.loads(endpoint.classify().content.decode())["label"] == "gató"
