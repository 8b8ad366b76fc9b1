"""Open Inference Protocol v2 over REST, for clients of KServe, Triton and MLServer."""

from dataclasses import asdict, dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.auth.api_key_auth import ApiKeyAuth
from serving.http.body import Bodies
from serving.http.classify import deployed, peer_of, recording_of
from serving.http.tensors import read_request, write_response
from serving.http.workers import Workers
from serving.inference.loaded_model import LoadedModel
from serving.inference.session import IMAGE, STRANGENESS
from serving.problems import NOT_FOUND, NOT_READY, UNREADABLE, Problem
from serving.recording.recorder import Recorder
from serving.recording.tensors import answer_tensors
from serving.release.live import Deployed, Live

_JSON_LENGTH = "inference-header-content-length"


@dataclass(frozen=True, kw_only=True)
class TensorKind:
    """Name, datatype and shape of a tensor; -1 is any length."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A model's metadata in the protocol."""

    versions: list[str]
    platform: str
    inputs: list[TensorKind]
    outputs: list[TensorKind]


def describe(model: LoadedModel) -> Interface:
    """Returns the metadata of the active model, for REST and for gRPC."""
    size, classes = model.session.size, len(model.labels)
    strangeness = TensorKind(name=STRANGENESS, datatype="FP32", shape=[-1])
    return Interface(
        versions=[str(model.version.number)],
        platform="onnxruntime_onnx",
        inputs=[TensorKind(name=IMAGE, datatype="UINT8", shape=[-1, size, size, 3])],
        outputs=[
            TensorKind(name="probabilities", datatype="FP32", shape=[-1, classes]),
            TensorKind(name="embedding", datatype="FP32", shape=[-1, -1]),
            TensorKind(name="activation_map", datatype="FP32", shape=[-1, classes, -1, -1]),
            *([strangeness] if STRANGENESS in model.session.output_names else []),
        ],
    )


class InferenceProtocolApi:
    """The protocol's routes. They serve one model, in its active version."""

    def __init__(
        self,
        *,
        live: Live,
        bodies: Bodies,
        workers: Workers,
        name: str,
        batch: int,
        auth: ApiKeyAuth,
        recorder: Recorder | None = None,
    ) -> None:
        """If `recorder` is None, predictions are not recorded."""
        self._live = live
        self._bodies = bodies
        self._workers = workers
        self._name = name
        self._batch = batch
        self._auth = auth
        self._recorder = recorder

    async def server(self, _request: Request) -> Response:
        """Answer `GET /v2`."""
        return JSONResponse({"name": "petpark", "version": "1", "extensions": ["binary_tensor_data"]})

    async def server_live(self, _request: Request) -> Response:
        """Answer `GET /v2/health/live`."""
        return JSONResponse({"live": True})

    async def server_ready(self, _request: Request) -> Response:
        """Answer `GET /v2/health/ready`."""
        if not self._live.ready:
            raise Problem(NOT_READY, "The endpoint serves no version yet, or is shutting down.", retry_after=2)
        return JSONResponse({"ready": True})

    async def model_ready(self, request: Request) -> Response:
        """Answer `GET /v2/models/{model}/ready`."""
        self._requested(request)
        return await self.server_ready(request)

    async def model(self, request: Request) -> Response:
        """Answer `GET /v2/models/{model}`."""
        model = self._requested(request).model
        return JSONResponse(
            {
                "name": self._name,
                **asdict(describe(model)),
                "parameters": {
                    "labels": list(model.labels),
                    "digest": model.identity["digest"],
                    "decision": model.rule,
                    "abstention": model.abstention_record,
                },
            }
        )

    async def infer(self, request: Request) -> Response:
        """Answer `POST /v2/models/{model}/infer`."""
        self._requested(request)
        length = _json_length(request)
        async with self._bodies.read(request) as body:
            content, header_length, images = await self._workers.run(
                peer_of(self._workers, request), self._infer, request, body, length
            )
        self._auth.charge(request.state.caller, images)
        if header_length is None:
            return Response(content, media_type="application/json")
        headers = {_JSON_LENGTH: str(header_length)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    def _infer(self, request: Request, body: bytes, header_length: int | None) -> tuple[bytes, int | None, int]:
        current = self._requested(request)
        session = current.model.session
        tensors = read_request(body, header_length, size=session.size, batch=self._batch, known=session.output_names)
        recording = recording_of(self._recorder, request) if self._recorder else None
        outputs = answer_tensors(tensors.images, tensors.outputs, current, recording)
        content = write_response(tensors, outputs, model=self._name, version=str(current.model.version.number))
        return *content, len(tensors.images)

    def _requested(self, request: Request) -> Deployed:
        """Returns the active version if the path names it. Raises `Problem` (404, 503)."""
        name: str = request.path_params["model"]
        if name != self._name:
            raise Problem(NOT_FOUND, f"This endpoint serves model {self._name!r}, not {name!r}.")
        current = deployed(self._live)
        version: str | None = request.path_params.get("version")
        if version is not None and version != str(current.model.version.number):
            raise Problem(NOT_FOUND, f"Version {current.model.version.number} is being served, not {version!r}.")
        return current


def _json_length(request: Request) -> int | None:
    text = request.headers.get(_JSON_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise Problem(UNREADABLE, "Inference-Header-Content-Length is not a valid number.")
    return int(text)
