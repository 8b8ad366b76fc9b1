"""The Open Inference Protocol over gRPC, by gRPC's own client on loopback."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import grpc.aio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.telemetry import TelemetryPolicy
from serving import problems
from serving.grpc import open_inference_pb2 as pb
from serving.grpc.arrivals import Arrivals
from serving.grpc.service import CODES, SERVICE, InferenceService, start
from serving.settings import Limits
from tests.examples import examples
from tests.serving.recording.recorded import rows_of

SIZE = 32
ANSWERS = {
    "ServerLive": pb.ServerLiveResponse,
    "ServerReady": pb.ServerReadyResponse,
    "ModelReady": pb.ModelReadyResponse,
    "ServerMetadata": pb.ServerMetadataResponse,
    "ModelMetadata": pb.ModelMetadataResponse,
    "ModelInfer": pb.ModelInferResponse,
}


@asynccontextmanager
async def served(endpoint):
    service = InferenceService(
        live=endpoint.live,
        metrics=endpoint.metrics,
        workers=endpoint.workers,
        auth=endpoint.auth,
        bodies=endpoint.bodies,
        name="pets",
        batch=endpoint.settings.limits.batch,
        recorder=endpoint.recorder,
    )
    server, port = await start(service, host="127.0.0.1", port=0, limits=endpoint.settings.limits)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


def ask(endpoint, *calls, **metadata):
    """Make calls one after the other: each answer, or the error that it ended with."""

    async def run():
        answers = []
        async with served(endpoint) as channel:
            for name, message in calls:
                body = message if isinstance(message, bytes) else message.SerializeToString()
                method = channel.unary_unary(f"/{SERVICE}/{name}", response_deserializer=ANSWERS[name].FromString)
                lines = [(key.replace("_", "-"), value) for key, value in metadata.items()]
                try:
                    answers.append(await asyncio.wait_for(method(body, metadata=lines), 30))
                except grpc.aio.AioRpcError as error:
                    answers.append(error)
        return answers

    return asyncio.run(run())


async def left_open(channel, count, name="ModelInfer"):
    """Calls whose message never comes."""
    method = channel.stream_unary(f"/{SERVICE}/{name}")
    return [method() for _ in range(count)]


def test_a_call_without_a_key_ends_before_its_message_arrives(guarded):
    async def run():
        async with served(guarded) as channel:
            calls = await left_open(channel, 3)
            return [await asyncio.wait_for(call.code(), 30) for call in calls]

    assert asyncio.run(run()) == [grpc.StatusCode.UNAUTHENTICATED] * 3


@pytest.mark.parametrize("name", list(ANSWERS))
def test_a_message_that_does_not_arrive_is_not_waited_for_for_ever(park, open_endpoint, name):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(body_seconds=0.05))
    endpoint.follow()

    async def run():
        async with served(endpoint) as channel:
            (call,) = await left_open(channel, 1, name)
            return await asyncio.wait_for(call.code(), 30)

    assert asyncio.run(run()) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert endpoint.metrics.running == 0


def test_half_sent_calls_hold_up_their_own_caller_and_nobody_else(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(peer_messages=2, peer_calls=4, body_seconds=20))
    endpoint.follow()
    body = request(images("red")).SerializeToString()
    messages = asyncio.Event()

    async def never():
        await messages.wait()
        yield b""

    async def good():
        yield body

    async def run():
        arrivals = Arrivals(endpoint.settings.limits)
        async with AsyncExitStack() as stack:
            bad = [await stack.enter_async_context(arrivals.of("192.0.2.1")) for _ in range(4)]
            waiting = [asyncio.create_task(one.message(never())) for one in bad]
            with pytest.raises(problems.Problem, match="4 calls from your address"):
                await stack.enter_async_context(arrivals.of("192.0.2.1"))
            other = await stack.enter_async_context(arrivals.of("192.0.2.2"))
            assert await asyncio.wait_for(other.message(good()), 10) == body
            for one in waiting:
                one.cancel()
            await asyncio.wait(waiting)
        async with arrivals.of("192.0.2.1") as again:
            assert await again.message(good()) == body
        assert arrivals._peers == {}

    asyncio.run(run())


def test_a_call_without_a_message_is_refused(endpoint):
    async def run():
        async with served(endpoint) as channel:
            call = channel.stream_unary(f"/{SERVICE}/ModelInfer")()
            await call.done_writing()
            return await asyncio.wait_for(call.code(), 30)

    assert asyncio.run(run()) is grpc.StatusCode.INVALID_ARGUMENT


def images(*colours):
    palette = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    return np.stack([np.full((SIZE, SIZE, 3), palette[colour], dtype=np.uint8) for colour in colours])


def request(batch, *, raw=True, outputs=(), **more):
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=batch.shape)
    if not raw:
        tensor.contents.uint_contents.extend(batch.ravel().tolist())
    return pb.ModelInferRequest(
        model_name="pets",
        inputs=[tensor],
        outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs],
        raw_input_contents=[batch.tobytes()] if raw else [],
        **more,
    )


def numbers(answer) -> dict[str, np.ndarray]:
    return {
        output.name: np.frombuffer(raw, dtype=np.float32).reshape(output.shape)
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def test_health_and_metadata_are_those_of_the_rest_side(endpoint):
    live, ready, model_ready, server, model = ask(
        endpoint,
        ("ServerLive", pb.ServerLiveRequest()),
        ("ServerReady", pb.ServerReadyRequest()),
        ("ModelReady", pb.ModelReadyRequest(name="pets", version="1")),
        ("ServerMetadata", pb.ServerMetadataRequest()),
        ("ModelMetadata", pb.ModelMetadataRequest(name="pets")),
    )
    assert live.live
    assert ready.ready
    assert model_ready.ready
    assert server.name == endpoint.http.get("/v2").json()["name"]
    rest = endpoint.http.get("/v2/models/pets").json()
    assert (model.name, list(model.versions), model.platform) == (rest["name"], rest["versions"], rest["platform"])
    for side in ("inputs", "outputs"):
        output = [
            {"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in getattr(model, side)
        ]
        assert output == rest[side]


def test_without_a_version_it_is_live_and_not_ready(open_endpoint):
    live, ready, model, infer = ask(
        open_endpoint(),
        ("ServerLive", pb.ServerLiveRequest()),
        ("ServerReady", pb.ServerReadyRequest()),
        ("ModelReady", pb.ModelReadyRequest(name="pets")),
        ("ModelInfer", request(images("red"))),
    )
    assert (live.live, ready.ready, model.ready) == (True, False, False)
    assert infer.code() is grpc.StatusCode.UNAVAILABLE
    assert dict(infer.trailing_metadata())["retry-after"] == "2"


@pytest.mark.parametrize("raw", [True, False])
def test_the_numbers_are_those_of_the_rest_side(endpoint, raw):
    batch = images("red", "blue")
    (answer,) = ask(endpoint, ("ModelInfer", request(batch, raw=raw, id="seven")))
    assert (answer.id, answer.model_name, answer.model_version) == ("seven", "pets", "1")
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(batch.shape), "data": batch.ravel().tolist()}
    rest = endpoint.http.post("/v2/models/pets/infer", json={"inputs": [tensor]}).json()
    found = numbers(answer)
    assert list(found) == [output["name"] for output in rest["outputs"]]
    for output in rest["outputs"]:
        np.testing.assert_allclose(found[output["name"]].ravel(), output["data"], atol=1e-6)


def test_tensors_sent_by_grpc_are_recorded_like_those_sent_by_rest(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(telemetry=TelemetryPolicy(sample_percent=100))
    endpoint.follow()
    lines = {"x_request_id": "call-1", "x_petpark_camera": "gate"}
    (answer,) = ask(endpoint, ("ModelInfer", request(images("red", "blue"), outputs=["probabilities"])), **lines)
    endpoint.recorder.take()
    endpoint.recorder.write(everything=True)
    assert endpoint.recorder.upload() == 0.0
    rows = sorted(rows_of(endpoint._store), key=lambda row: row["item"])
    assert [(row["id"], row["item"], row["width"]) for row in rows] == [("call-1", 0, None), ("call-1", 1, None)]
    assert np.array([row["probabilities"] for row in rows]) == pytest.approx(numbers(answer)["probabilities"])
    assert all("/camera=gate/" in row["key"] for row in rows)


def test_only_the_outputs_asked_for_come_back(endpoint):
    (answer,) = ask(endpoint, ("ModelInfer", request(images("red"), outputs=["embedding"])))
    assert list(numbers(answer)) == ["embedding"]


def test_keys_scopes_and_rates_are_those_of_the_rest_side(guarded, parameters):
    key = parameters.create(burst=3)
    guarded.ring.refresh()
    infer = ("ModelInfer", request(images("red", "blue", "red")))
    without, health = ask(guarded, infer, ("ServerReady", pb.ServerReadyRequest()))
    assert without.code() is grpc.StatusCode.UNAUTHENTICATED
    assert health.ready
    answered, limited = ask(guarded, infer, infer, authorization=f"Bearer {key}")
    assert len(answered.outputs) == 3
    assert limited.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(limited.trailing_metadata())["retry-after"]) > 0


def test_what_is_not_so_is_said_with_the_right_code(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(limits=Limits(batch=2, body_bytes=20_000))
    endpoint.follow()
    fine = images("red")
    other_size = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    twice = request(fine, raw=False)
    twice.raw_input_contents.append(fine.tobytes())
    cases = [
        (pb.ModelInferRequest(model_name="cars"), grpc.StatusCode.NOT_FOUND),
        (request(fine, model_version="2"), grpc.StatusCode.NOT_FOUND),
        (pb.ModelInferRequest(model_name="pets"), grpc.StatusCode.INVALID_ARGUMENT),
        (request(other_size), grpc.StatusCode.INVALID_ARGUMENT),
        (request(fine, outputs=["secrets"]), grpc.StatusCode.INVALID_ARGUMENT),
        (request(images("red", "red", "red")), grpc.StatusCode.INVALID_ARGUMENT),
        (twice, grpc.StatusCode.INVALID_ARGUMENT),
        (request(np.repeat(fine, 8, axis=0)), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ]
    answers = ask(endpoint, *(("ModelInfer", message) for message, _ in cases), x_request_id="camera-7")
    assert [answer.code() for answer in answers] == [code for _, code in cases]
    assert dict(answers[0].trailing_metadata())["x-request-id"] == "camera-7"
    assert endpoint.workers.taken == 0
    assert endpoint.bodies.held == 0


def test_more_work_than_there_is_room_for_is_refused(park, open_endpoint):
    park.release(park.certified())
    endpoint = open_endpoint(threads=1, limits=Limits(queue=0))
    endpoint.follow()
    with endpoint.workers.place(""):
        (refused,) = ask(endpoint, ("ModelInfer", request(images("red"))))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    (answered,) = ask(endpoint, ("ModelInfer", request(images("red"))))
    assert answered.model_version == "1"


def test_an_unforeseen_failure_tells_nothing_of_the_inside_and_is_an_error_of_ours(endpoint, monkeypatch, caplog):
    def explode(*_args, **_options):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("serving.inference.session.Session.outputs", explode)
    (failed,) = ask(endpoint, ("ModelInfer", request(images("red"))))
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in failed.details()
    assert "secret detail" in caplog.text
    assert endpoint.metrics.recent.take()["errors"] == 1
    assert endpoint.metrics.running == 0


def test_every_problem_has_a_code():
    # A roll back's 409 and 502, and what methods and media types are refused by, are HTTP's alone.
    assert {kind.status for kind in problems.KINDS} - set(CODES) <= {405, 408, 409, 415, 502}


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["image", ""]),
    datatype=st.sampled_from(["UINT8", "FP32", "BYTES"]),
    shape=st.lists(st.sampled_from([-1, 0, 1, 2, 3, SIZE, 2**62, -(2**63)]), max_size=5) | st.just([1, SIZE, SIZE, 3]),
    raws=st.lists(st.sampled_from([b"", b"x", bytes(SIZE * SIZE * 3)]), max_size=2),
    contents=st.lists(st.sampled_from([0, 255, 256, 2**32 - 1]), max_size=3),
    tail=st.binary(max_size=4),
)
def test_any_message_is_answered_or_refused(endpoint, name, datatype, shape, raws, contents, tail):
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    tensor.contents.uint_contents.extend(contents)
    message = pb.ModelInferRequest(model_name="pets", inputs=[tensor], raw_input_contents=raws)
    whole, damaged = ask(
        endpoint, ("ModelInfer", message), ("ModelInfer", message.SerializeToString()[: -len(tail) or None] + tail)
    )
    fine = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    for answer in (whole, damaged):
        assert isinstance(answer, pb.ModelInferResponse) or answer.code() in fine
