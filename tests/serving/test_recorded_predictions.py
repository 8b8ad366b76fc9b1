"""Predictions of an endpoint, recorded as it answers."""

import io
from datetime import timedelta

import numpy as np
import pytest
from arro3.io import read_parquet
from PIL import Image

import imaging
from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Rule
from registry.telemetry import TelemetryPolicy
from tests.serving.recording.recorded import rows_of

EVERYTHING = TelemetryPolicy(sample_percent=100)


@pytest.fixture
def open_recording(park, open_endpoint):
    """Open an endpoint that records by a policy."""
    park.release(park.certified())

    def open_one(policy: TelemetryPolicy = EVERYTHING, **options):
        endpoint = open_endpoint(telemetry=policy, **options)
        endpoint.follow()
        return endpoint

    return open_one


def stored(endpoint):
    recorder = endpoint.recorder
    recorder.take()
    recorder.write(everything=True)
    while recorder.upload() == 0.0:
        pass
    return rows_of(endpoint._store)


def test_a_row_says_what_the_caller_was_answered_and_what_the_photo_was_like(open_recording, make_photo):
    endpoint = open_recording()
    photo = make_photo("red", size=(80, 60))
    answer = endpoint.http.post(
        "/v1/classify", content=photo, headers={"content-type": "image/jpeg", "x-petpark-camera": "gate"}
    ).json()
    (row,) = stored(endpoint)
    assert "/stack=prod/camera=gate/" in row["key"]
    assert (row["id"], row["label"], row["model"]) == (answer["request_id"], answer["label"], "pets")
    assert (row["version"], row["digest"]) == (answer["model"]["version"], answer["model"]["digest"])
    assert dict(zip(row["labels"], row["probabilities"], strict=True)) == pytest.approx(answer["probabilities"])
    assert (row["width"], row["height"], row["photo_bytes"]) == (80, 60, len(photo))
    assert (row["channel"], row["entry"], row["arm"], row["thumbnail"]) == ("prod", 1, None, None)
    pixels = imaging.decode(photo, 32)
    assert row["brightness"] == pytest.approx(imaging.input_statistics(pixels, width=80, height=60).brightness)
    embedding = np.frombuffer(row["embedding"], "<f2")
    assert embedding == pytest.approx(pixels.reshape(-1, 3).mean(axis=0) / 255, abs=1e-3)
    assert 0 < row["seconds"] <= row["latency"]


def test_recording_changes_no_answer(open_recording, open_endpoint, make_photo):
    recording, plain = open_recording(), open_endpoint()
    plain.follow()
    for colour in ("red", "blue", "purple", "olive"):
        for query in ("", "?explain=true", "?abstain=true"):
            answers = [
                endpoint.http.post(
                    f"/v1/classify{query}",
                    content=make_photo(colour),
                    headers={"content-type": "image/jpeg", "x-request-id": "same"},
                )
                for endpoint in (recording, plain)
            ]
            assert answers[0].content == answers[1].content


def test_each_photo_of_a_batch_is_a_row_of_its_own(open_recording, make_photo):
    endpoint = open_recording()
    files = [("photo", (f"{colour}.jpg", make_photo(colour), "image/jpeg")) for colour in ("red", "blue")]
    files.insert(1, ("photo", ("broken.jpg", b"broken", "image/jpeg")))
    answer = endpoint.http.post("/v1/classify/batch", files=files).json()
    rows = sorted(stored(endpoint), key=lambda row: row["item"])
    assert [row["item"] for row in rows] == [0, 2]
    assert {row["id"] for row in rows} == {answer["request_id"]}
    assert [row["label"] for row in rows] == [answer["results"][item]["label"] for item in (0, 2)]


def tensor_request(colours, outputs=()):
    """A request of the Open Inference Protocol, with the pixels that the model sees of photos of these colours."""
    palette = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    batch = np.stack([np.full((32, 32, 3), palette[colour], dtype=np.uint8) for colour in colours])
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(batch.shape), "data": batch.ravel().tolist()}
    return batch, {"inputs": [tensor], **({"outputs": [{"name": name} for name in outputs]} if outputs else {})}


def test_each_image_of_a_tensor_is_a_row_without_the_size_of_a_photo(open_recording, open_endpoint):
    endpoint, plain = open_recording(), open_endpoint()
    plain.follow()
    batch, document = tensor_request(("red", "blue"), outputs=("probabilities",))
    headers = {"x-request-id": "tensor-1", "x-petpark-camera": "gate"}
    answers = [each.http.post("/v2/models/pets/infer", json=document, headers=headers) for each in (endpoint, plain)]
    assert answers[0].content == answers[1].content, "recording changes no answer"
    (output,) = answers[0].json()["outputs"]
    rows = sorted(stored(endpoint), key=lambda row: row["item"])
    assert [(row["id"], row["item"]) for row in rows] == [("tensor-1", 0), ("tensor-1", 1)]
    assert [each for row in rows for each in row["probabilities"]] == pytest.approx(output["data"])
    assert {row["label"] for row in rows} == {"cat", "dog"}
    for row, image in zip(rows, batch, strict=True):
        assert "/camera=gate/" in row["key"]
        assert row["width"] is row["height"] is row["photo_bytes"] is row["thumbnail"] is None
        assert row["brightness"] == pytest.approx(imaging.input_statistics(image, width=0, height=0).brightness)
        embedding = image.reshape(-1, 3).mean(axis=0) / 255
        assert np.frombuffer(row["embedding"], "<f2") == pytest.approx(embedding, abs=1e-3)


def test_of_a_tensor_only_the_images_of_the_sample_are_recorded_and_held_in_memory(open_recording):
    policy = TelemetryPolicy(sample_percent=30)
    endpoint = open_recording(policy)
    _, document = tensor_request(("red", "blue") * 8)
    endpoint.http.post("/v2/models/pets/infer", json=document, headers={"x-request-id": "tensor-2"})
    wanted = {item for item in range(16) if policy.samples("tensor-2", item)}
    assert 0 < len(wanted) < 16
    held = [seen.found.pixels for seen in endpoint.recorder._seen]
    assert all(pixels is not None and pixels.base is None for pixels in held), "not a part of the caller's tensor"
    assert {row["item"] for row in stored(endpoint)} == wanted


def test_only_the_sample_is_recorded_and_it_is_known_from_the_id(open_recording):
    policy = TelemetryPolicy(sample_percent=30)
    endpoint = open_recording(policy)
    ids = [f"photo-{number}" for number in range(60)]
    for each in ids:
        endpoint.http.post(
            "/v1/classify", content=endpoint.photo, headers={"content-type": "image/jpeg", "x-request-id": each}
        )
    rows = stored(endpoint)
    assert {row["id"] for row in rows} == {each for each in ids if policy.samples(each)}
    assert 5 < len(rows) < 35


def test_what_the_policy_redacts_is_nowhere_in_the_file(open_recording):
    endpoint = open_recording(TelemetryPolicy(sample_percent=100, redact=("id", "camera", "embedding")))
    endpoint.http.post(
        "/v1/classify",
        content=endpoint.photo,
        headers={"content-type": "image/jpeg", "x-petpark-camera": "gate", "x-request-id": "secret-id"},
    )
    (row,) = stored(endpoint)
    assert row["id"] is row["embedding"] is None
    assert "/camera=caller.redacted/" in row["key"]
    body = endpoint._store.get(row["key"])
    assert b"gate" not in body
    assert b"secret-id" not in body


def test_a_thumbnail_is_recorded_only_of_cameras_that_the_policy_names(open_recording, make_photo):
    endpoint = open_recording(TelemetryPolicy(sample_percent=100, thumbnails=("gate",)))
    for camera in ("gate", "pond"):
        endpoint.http.post(
            "/v1/classify",
            content=make_photo("red"),
            headers={"content-type": "image/jpeg", "x-petpark-camera": camera},
        )
    gate, pond = sorted(stored(endpoint), key=lambda row: row["key"])
    assert pond["thumbnail"] is None
    with Image.open(io.BytesIO(gate["thumbnail"])) as thumbnail:
        assert thumbnail.format == "JPEG"
        red, _, blue = np.asarray(thumbnail.convert("RGB"))[5, 5]
        assert red > 200 > 60 > blue


def test_the_arm_of_an_experiment_and_its_version_are_recorded(park, open_recording):
    endpoint = open_recording()
    challenger = park.certified(sharpness=2.0)
    experiments = Experiments(park.store, "pets", "prod", clock=lambda: park.now)
    experiments.start(
        challenger,
        park.channel.head(),
        mode="canary",
        share=0.5,
        rule=Rule(),
        until=park.now + timedelta(hours=1),
        by="otto",
        why="test",
    )
    endpoint.challenger.step()
    for number in range(40):
        endpoint.http.post(
            "/v1/classify", content=endpoint.photo, headers={"content-type": "image/jpeg", "x-request-id": f"n{number}"}
        )
    assert {(row["arm"], row["version"]) for row in stored(endpoint)} == {("champion", 1), ("challenger", 2)}


def test_files_can_be_read_by_the_columns_that_infra_declares_for_athena(open_recording):
    """Parquet's own types, which Athena reads: https://docs.aws.amazon.com/athena/latest/ug/data-types.html"""
    endpoint = open_recording()
    endpoint.classify()
    (row,) = stored(endpoint)
    schema = read_parquet(io.BytesIO(endpoint._store.get(row["key"]))).schema
    types = {field.name: str(field.type) for field in schema}
    assert types["at"].endswith('Timestamp(µs, "UTC")>\n') or "Timestamp" in types["at"]
    assert "element" in types["probabilities"]
