"""Many photos at once: each has its own answer or its own problem."""

import io
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.settings import Limits
from tests.examples import examples

KINDS = {"cat": "red", "dog": "blue"}


def send(endpoint, *photos, **parameters):
    files = [("photo", (name, body)) for name, body in photos]
    return endpoint.http.post("/v1/classify/batch", files=files, params=parameters)


def animated() -> bytes:
    frames = [Image.fromarray(np.full((40, 40, 3), shade, dtype=np.uint8)) for shade in (0, 255)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


def test_each_photo_has_its_answer_in_the_order_of_the_form(endpoint, make_photo):
    answer = send(endpoint, *((f"{number}.jpg", make_photo(KINDS[k])) for number, k in enumerate(["cat", "dog"] * 5)))
    assert answer.status_code == 200
    document = answer.json()
    assert [result["name"] for result in document["results"]] == [f"{number}.jpg" for number in range(10)]
    assert [result["label"] for result in document["results"]] == ["cat", "dog"] * 5
    assert document["model"] == endpoint.classify().json()["model"]
    assert document["request_id"] == answer.headers["x-request-id"]
    assert endpoint.metric("petpark_predictions_total", version="1", label="dog") == 5
    assert endpoint.workers.taken == 0


def test_the_answer_to_a_photo_is_the_one_that_it_gets_alone(endpoint, make_photo):
    photo = make_photo("purple")
    (result,) = send(endpoint, ("one.jpg", photo)).json()["results"]
    assert result["probabilities"] == endpoint.classify(photo).json()["probabilities"]


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["cat", "dog", "empty", "junk", "cut"]), min_size=1, max_size=8))
def test_a_bad_photo_spoils_no_other(endpoint, make_photo, kinds):
    bodies = {
        "cat": make_photo("red"),
        "dog": make_photo("blue"),
        "empty": b"",
        "junk": b"no photo",
        "cut": make_photo(size=(300, 300))[:400],
    }
    answer = send(endpoint, *((kind, bodies[kind]) for kind in kinds))
    assert answer.status_code == 200
    for kind, result in zip(kinds, answer.json()["results"], strict=True):
        if kind in KINDS:
            assert result["label"] == kind
        else:
            assert "label" not in result
            assert (result["problem"]["status"], result["problem"]["type"]) == (422, "/docs#unreadable")


def test_a_photo_of_too_many_pixels_is_that_photos_problem(park, open_endpoint, make_photo):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(pixels=10_000))
    endpoint.follow()
    large, small = send(endpoint, ("l", make_photo(size=(101, 100))), ("s", make_photo())).json()["results"]
    assert large["problem"]["status"] == 413
    assert small["label"] == "cat"


def test_count_and_bytes_are_limited(park, open_endpoint, make_photo):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(batch=3, body_bytes=9000))
    endpoint.follow()
    assert send(endpoint, *[("x", make_photo())] * 3).status_code == 200
    for many in (4, 18):
        assert send(endpoint, *[("x", b"x")] * many).status_code == 413
    assert send(endpoint, *[("x", b"x")] * 40).status_code == 422
    assert send(endpoint, ("x", b"x" * 9001)).status_code == 413


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "image/jpeg", 415),
        (b"", "", 415),
        (b"", "multipart/form-data", 422),
        (b"--a--\r\n", "multipart/form-data; boundary=a", 422),
        (
            b"--a\r\nContent-Disposition: form-data; name=x\r\n\r\nv\r\n--a--\r\n",
            "multipart/form-data; boundary=a",
            422,
        ),
    ],
)
def test_what_is_no_form_of_photos_is_refused_as_a_whole(endpoint, body, kind, status):
    answer = endpoint.http.post("/v1/classify/batch", content=body, headers={"content-type": kind})
    assert answer.status_code == status


def test_a_busy_endpoint_takes_a_batch_with_one_thread_and_a_full_one_refuses_it(park, open_endpoint, make_photo):
    park.release(park.certified())
    endpoint = open_endpoint(threads=2, limits=Limits(queue=0))
    endpoint.follow()
    photos = [("x", make_photo())] * 4
    with endpoint.workers.place(""):
        assert [result["label"] for result in send(endpoint, *photos).json()["results"]] == ["cat"] * 4
        with endpoint.workers.place(""):
            refused = send(endpoint, *photos)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert endpoint.workers.taken == 0


def test_one_version_answers_the_whole_batch_even_if_another_comes_into_force(endpoint, park, make_photo, monkeypatch):
    version = park.certified(sharpness=2.0)
    classify = type(endpoint.live.deployed.model).classify
    swapping = threading.RLock()  # photos of a batch are classified side by side: one of them brings the new version

    def swapped(model, *arguments, **options):
        with swapping:
            if model.version.number == 1 and endpoint.live.deployed.model is model:
                park.release(version)
                endpoint.follow()
        return classify(model, *arguments, **options)

    monkeypatch.setattr(type(endpoint.live.deployed.model), "classify", swapped)
    document = send(endpoint, *[("x", make_photo())] * 6).json()
    assert document["model"]["version"] == 1
    assert len({result["probabilities"]["cat"] for result in document["results"]}) == 1
    assert endpoint.answers == 2


def test_names_are_the_callers_in_any_script_and_of_bounded_length(endpoint, make_photo):
    named, long = send(endpoint, ("gató 犬.jpg", make_photo()), ("x" * 999, make_photo())).json()["results"]
    assert named["name"] == "gató 犬.jpg"
    assert len(long["name"]) == 255


def test_photos_of_a_batch_are_explained_too(endpoint, make_photo):
    numbers = send(endpoint, ("x", make_photo()), explain="true").json()["results"][0]
    assert set(numbers["activation_map"]) == {"cat", "dog"}
    picture = send(endpoint, ("x", make_photo()), explain="png").json()["results"][0]
    assert picture["activation_overlay"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGBA", "P", "I;16"])
def test_photos_in_unusual_colours_are_answered(endpoint, mode):
    file = io.BytesIO()
    picture = Image.new("RGB", (40, 40), "red")
    kind = "JPEG" if mode in {"CMYK", "L"} else "PNG"
    (Image.new("I;16", (40, 40), 9000) if mode == "I;16" else picture.convert(mode)).save(file, kind)
    (result,) = send(endpoint, ("x", file.getvalue())).json()["results"]
    assert "label" in result or result["problem"]["status"] == 422


def test_an_animated_picture_is_answered_or_refused(endpoint):
    (result,) = send(endpoint, ("x", animated())).json()["results"]
    assert "label" in result or result["problem"]["status"] == 422
