"""`POST /v1/classify`: classify one photo."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, NotRequired

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from imaging import PhotoError
from registry.telemetry import CAMERA_HEADER
from serving.auth.api_key_auth import Caller
from serving.http.body import Bodies
from serving.http.multipart import photo_of
from serving.http.reply import Reply, Sent
from serving.http.workers import Workers
from serving.inference.explanation import Explain, Explanation, abstain_of, explain_of, explanation
from serving.inference.loaded_model import AbstentionAnswer, ChosenBy, Model, Share
from serving.problems import NOT_READY, UNREADABLE, WRONG_TYPE, Problem, of_photo
from serving.recording.recorder import Recorder, RequestRecording
from serving.release import traffic_split
from serving.release.live import Deployed, Live
from serving.release.traffic_split import Answer, TrafficSplit
from serving.telemetry import Metrics

PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp")
FORM_TYPE = "multipart/form-data"
UNIT = "x-petpark-unit"
type Abstained = Annotated[
    AbstentionAnswer | None,
    msgspec.Meta(description="With abstain=true; null if the version cannot abstain. `label` is not affected"),
]
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class Classification(Explanation):
    """The response for one photo."""

    label: Annotated[
        str, msgspec.Meta(description="The class: the most probable one, unless `decision` says otherwise")
    ]
    probabilities: dict[str, Share]
    model: Model
    request_id: str
    decision: NotRequired[ChosenBy]
    abstention: NotRequired[Abstained]


def deployed(live: Live) -> Deployed:
    """Returns the active version. Raises `Problem` (503) if there is none."""
    current = live.deployed
    if current is None:
        raise Problem(NOT_READY, live.not_ready_reason, retry_after=2)
    return current


def peer_of(workers: Workers, request: Request) -> str:
    """Returns the caller of a request for the fair queue of the workers."""
    return workers.peer(request.state.caller, request.client.host if request.client else None)


def recording_of(recorder: Recorder, request: Request) -> RequestRecording:
    """Returns the recording of a request's predictions."""
    state = request.state
    return RequestRecording(
        recorder=recorder,
        request_id=state.request_id,
        camera=recorder.camera(request.headers.get(CAMERA_HEADER), state.caller),
        began=state.reply.began,
    )


class ClassifyApi:
    """Reads a photo, classifies it on a worker thread, and sends the response."""

    def __init__(
        self,
        *,
        live: Live,
        split: TrafficSplit,
        bodies: Bodies,
        workers: Workers,
        metrics: Metrics,
        recorder: Recorder | None = None,
    ) -> None:
        """If `recorder` is None, predictions are not recorded."""
        self._live = live
        self._split = split
        self._bodies = bodies
        self._workers = workers
        self._metrics = metrics
        self._recorder = recorder

    async def classify(self, request: Request) -> Response:
        """Answer `POST /v1/classify`."""
        unwrap = _unwrapper(request.headers.get("content-type", ""))
        explain, abstain = explain_of(request), abstain_of(request)
        deployed(self._live)  # 503 before the body is received
        request_id: str = request.state.request_id
        peer = peer_of(self._workers, request)
        recording = self._recording(request)
        async with self._bodies.read(request) as body:
            await self._workers.answer(
                peer,
                self._answer,
                request.state.reply,
                body,
                unwrap,
                explain=explain,
                abstain=abstain,
                request_id=request_id,
                unit=_unit(request),
                caller=request.state.caller,
                recording=recording,
            )
        return Sent()

    def _answer(
        self,
        reply: Reply,
        body: bytes,
        unwrap: Callable[[bytes], bytes],
        *,
        explain: Explain,
        abstain: bool,
        request_id: str,
        unit: str,
        caller: Caller,
        recording: RequestRecording | None,
    ) -> None:
        """Classify and send the response from this thread: the event loop would cost two thread switches."""
        photo = unwrap(body)
        if not photo:
            raise Problem(UNREADABLE, "The body is empty; send a photo.")
        current = deployed(self._live)
        try:
            answer = self._split.classify(
                current,
                photo,
                explain=explain is not Explain.NOTHING,
                request=request_id,
                caller=unit,
                record=recording is not None,
            )
        except PhotoError as error:
            raise of_photo(error) from error
        self._metrics.count_prediction(answer.model.version.number, answer.found.label)
        headers = {"content-type": "application/json", **caller.headers}
        if answer.arm:
            headers[traffic_split.HEADER] = answer.arm
        reply.send_now(200, headers, _document(answer, request_id, explain, abstain=abstain))
        if recording is not None:
            recording.record(photo, answer.found, model=answer.model, entry=current.move.number, arm=answer.arm)

    def _recording(self, request: Request) -> RequestRecording | None:
        recorder = self._recorder
        if recorder is None or not recorder.wants(request.state.request_id):
            return None
        return recording_of(recorder, request)


def _unit(request: Request) -> str:
    """Returns the caller for an experiment that assigns callers: the header's unit, else the key, else the address."""
    caller: Caller = request.state.caller
    key = caller.key.name if caller.key else ""
    return request.headers.get(UNIT, "") or key or (request.client.host if request.client else "")


def _document(answer: Answer, request_id: str, explain: Explain, *, abstain: bool) -> bytes:
    model, found = answer.model, answer.found
    document: Classification = {
        "label": found.label,
        "probabilities": found.probabilities,
        "model": model.identity,
        "request_id": request_id,
        **explanation(model, found, explain),
    }
    if model.rule is not None:
        document["decision"] = model.rule
    if abstain:
        document["abstention"] = model.abstained(found)
    return as_json(document)


def as_json(document: Mapping[str, object]) -> bytes:
    """Returns a document as JSON."""
    return _JSON.encode(document).encode()


def _unwrapper(content_type: str) -> Callable[[bytes], bytes]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in PHOTO_TYPES:
        return bytes  # returns a bytes object unchanged
    if kind == FORM_TYPE:
        return lambda body: photo_of(body, content_type)
    expected = ", ".join((*PHOTO_TYPES, FORM_TYPE))
    raise Problem(WRONG_TYPE, f"The Content-Type is {kind or 'missing'}; send one of {expected}.")
