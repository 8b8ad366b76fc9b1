"""`inference.GRPCInferenceService`, in the event loop, with the workers, limits and authentication of the HTTP side."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio
import numpy as np
from google.protobuf.message import DecodeError, Message

from registry.telemetry import CAMERA_HEADER
from serving.auth.api_key_auth import ApiKeyAuth, Caller
from serving.grpc import open_inference_pb2 as pb
from serving.grpc.arrivals import Arrivals
from serving.http.body import Bodies
from serving.http.classify import deployed
from serving.http.connections import Connections, Line
from serving.http.inference_protocol import describe
from serving.http.request_middleware import request_id_of
from serving.http.tensors import DATATYPES, TensorRequest, parse
from serving.http.workers import Workers
from serving.inference.session import Scores
from serving.problems import INTERNAL, NOT_FOUND, UNREADABLE, Problem
from serving.recording.recorder import Recorder, RequestRecording
from serving.recording.tensors import answer_tensors
from serving.release.live import Deployed, Live
from serving.settings import Limits
from serving.telemetry import Metrics

logger = logging.getLogger(__name__)

SERVICE = "inference.GRPCInferenceService"

CODES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""A problem's HTTP status as a gRPC status code."""

type Context = grpc.aio.ServicerContext[Any, Any]
type Call = Callable[[Any, Context, Caller | None], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class InferenceService:
    """The protocol's six calls. Only the active model is served."""

    live: Live
    metrics: Metrics
    workers: Workers
    auth: ApiKeyAuth
    bodies: Bodies
    name: str
    batch: int
    connections: Connections | None = None
    port: int = 0
    recorder: Recorder | None = None
    """None if predictions are not recorded."""

    async def server_live(
        self, _request: pb.ServerLiveRequest, _context: Context, _caller: Caller | None
    ) -> pb.ServerLiveResponse:
        """Answer `ServerLive`."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(
        self, _request: pb.ServerReadyRequest, _context: Context, _caller: Caller | None
    ) -> pb.ServerReadyResponse:
        """Handle `ServerReady`: false while there is no version or the endpoint is draining."""
        return pb.ServerReadyResponse(ready=self.live.ready)

    async def model_ready(
        self, request: pb.ModelReadyRequest, _context: Context, _caller: Caller | None
    ) -> pb.ModelReadyResponse:
        """Handle `ModelReady`: false for any model or version but the active one."""
        try:
            self._requested(request.name, request.version)
        except Problem:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self.live.ready)

    async def server_metadata(
        self, _request: pb.ServerMetadataRequest, _context: Context, _caller: Caller | None
    ) -> pb.ServerMetadataResponse:
        """Answer `ServerMetadata`."""
        return pb.ServerMetadataResponse(name="petpark", version="1", extensions=[])

    async def model_metadata(
        self, request: pb.ModelMetadataRequest, _context: Context, _caller: Caller | None
    ) -> pb.ModelMetadataResponse:
        """Answer `ModelMetadata`."""
        found = describe(self._requested(request.name, request.version).model)
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=self.name,
            versions=found.versions,
            platform=found.platform,
            inputs=[tensor(name=one.name, datatype=one.datatype, shape=one.shape) for one in found.inputs],
            outputs=[tensor(name=one.name, datatype=one.datatype, shape=one.shape) for one in found.outputs],
        )

    def admit(self, context: Context) -> Caller:
        """Returns the caller, authenticated before its message is read. Raises `Problem` (401, 403, 429, 503)."""
        caller = self.auth.authenticate(_header_lines(context))
        deployed(self.live)
        return caller

    async def model_infer(self, body: bytes, context: Context, caller: Caller | None) -> bytes:
        """Handle `ModelInfer`; outputs are raw contents. Large messages are parsed and serialized on a thread."""
        with self.bodies.holding(len(body)):
            peer = self.workers.peer(caller, _line(context, self.port)[0])
            recording = self._recording(context, caller)
            answer, images = await self.workers.run(peer, self._infer, body, recording)
        metadata = {} if recording is None else {"x-request-id": recording.request_id}
        if caller is not None:
            self.auth.charge(caller, images)
            metadata |= caller.headers
        context.set_trailing_metadata(tuple(metadata.items()))
        return answer

    def _recording(self, context: Context, caller: Caller | None) -> RequestRecording | None:
        if self.recorder is None or caller is None:
            return None
        lines = _header_lines(context)
        return RequestRecording(
            recorder=self.recorder,
            request_id=request_id_of(lines.get("x-request-id")),
            camera=self.recorder.camera(lines.get(CAMERA_HEADER), caller),
            began=time.perf_counter(),
        )

    def _infer(self, body: bytes, recording: RequestRecording | None) -> tuple[bytes, int]:
        request = _parsed(pb.ModelInferRequest, body)
        current = self._requested(request.model_name, request.model_version)
        session = current.model.session
        tensors = _read(request, size=session.size, batch=self.batch, known=session.output_names)
        outputs = answer_tensors(tensors.images, tensors.outputs, current, recording)
        answer = _write(tensors, outputs, model=self.name, version=str(current.model.version.number))
        return answer.SerializeToString(), len(tensors.images)

    def _requested(self, name: str, version: str) -> Deployed:
        """Returns the active version, if the call names it. Raises `Problem` (404, 503)."""
        if name != self.name:
            raise Problem(NOT_FOUND, f"This endpoint serves model {self.name!r}, not {name[:100]!r}.")
        current = deployed(self.live)
        if version and version != str(current.model.version.number):
            raise Problem(NOT_FOUND, f"Version {current.model.version.number} is being served, not {version[:100]!r}.")
        return current


async def start(service: InferenceService, *, host: str, port: int, limits: Limits) -> tuple[grpc.aio.Server, int]:
    """Listen on `host:port`. Returns the server and its port; 0 chooses a free one.

    Every call is declared with a request stream, which is the same on the wire: gRPC then reads no message before the
    handler requests it, so the key is checked first, and the message's arrival has a deadline.
    """
    server = grpc.aio.server(
        maximum_concurrent_rpcs=limits.calls,
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", limits.body_bytes),
            # Between these two sizes gRPC would refuse calls at random.
            ("grpc.max_metadata_size", limits.metadata_bytes),
            ("grpc.absolute_max_metadata_size", limits.metadata_bytes),
            ("grpc.max_concurrent_streams", limits.peer_calls),
            ("grpc.server_handshake_timeout_ms", int(limits.header_seconds * 1000)),
        ],
    )
    arrivals = Arrivals(limits)
    calls: dict[str, tuple[Call, type[Message] | None]] = {
        "ServerLive": (service.server_live, pb.ServerLiveRequest),
        "ServerReady": (service.server_ready, pb.ServerReadyRequest),
        "ModelReady": (service.model_ready, pb.ModelReadyRequest),
        "ServerMetadata": (service.server_metadata, pb.ServerMetadataRequest),
        "ModelMetadata": (service.model_metadata, pb.ModelMetadataRequest),
        "ModelInfer": (service.model_infer, None),
    }
    handlers = {
        name: grpc.stream_unary_rpc_method_handler(
            _guarded(call, kind, route=f"/{SERVICE}/{name}", service=service, arrivals=arrivals),
            response_serializer=_serialized,
        )
        for name, (call, kind) in calls.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    await server.start()
    return server, bound


def _guarded(
    call: Call, kind: type[Message] | None, *, route: str, service: InferenceService, arrivals: Arrivals
) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
    """Count and time every call, and turn failures into the same problems as over HTTP.

    `kind` None: the call runs the model, so it requires a key, and it parses its message itself. gRPC would log a
    traceback for a malformed message.
    """
    metrics = service.metrics

    async def answer(messages: AsyncIterator[bytes], context: Context) -> Any:
        caller = service.admit(context) if kind is None else None
        async with arrivals.of(_line(context, service.port)[0]) as arriving:
            body = await arriving.message(messages)
            return await call(body if kind is None else _parsed(kind, body), context, caller)

    async def guarded(messages: AsyncIterator[bytes], context: Context) -> Any:
        began = time.perf_counter()
        request_id = request_id_of(_header_lines(context).get("x-request-id"))
        status = 500
        metrics.running += 1
        line = _line(context, service.port)
        if service.connections:
            service.connections.begin(line)
        try:
            answered = await answer(messages, context)
            status = 200
        except Problem as problem:
            status = problem.kind.status
            metadata = (*problem.headers.items(), ("x-request-id", request_id))
            await context.abort(CODES[status], problem.detail, metadata)
        except Exception:
            logger.exception("request failed", extra={"request_id": request_id, "path": route})
            detail = f"Unexpected error; see the endpoint's log for request id {request_id}."
            await context.abort(CODES[INTERNAL.status], detail)
        else:
            return answered
        finally:
            metrics.running -= 1
            if service.connections:
                service.connections.end(line)
            metrics.count(route, status, time.perf_counter() - began)

    return guarded


def _line(context: Context, here: int) -> Line:
    """Name the connection: `peer` is `ipv4:127.0.0.1:50000` or `ipv6:%5B::1%5D:50000`."""
    host, _, port = unquote(context.peer()).partition(":")[2].rpartition(":")
    return host.strip("[]"), port, str(here)


def _parsed[M: Message](kind: type[M], body: bytes) -> M:
    """Returns the parsed message. Raises `Problem` (422)."""
    try:
        return kind.FromString(body)
    except DecodeError:
        raise Problem(UNREADABLE, f"The body is not a {kind.__name__}.") from None


def _serialized(answer: Message | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _header_lines(context: Context) -> dict[str, str]:
    """Metadata as header lines, without binary ones."""
    return {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}


def _read(request: pb.ModelInferRequest, *, size: int, batch: int, known: tuple[str, ...]) -> TensorRequest:
    """Returns the request, parsed by the same rules as over REST. Raises `Problem` (422, 413)."""
    if len(request.inputs) != 1:
        raise Problem(UNREADABLE, f"The request has {len(request.inputs)} inputs; send one tensor.")
    tensor = request.inputs[0]
    document: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    binary = b""
    if request.raw_input_contents:
        if len(request.raw_input_contents) != 1 or tensor.HasField("contents"):
            raise Problem(UNREADABLE, "Send raw_input_contents or contents, for one input.")
        binary = request.raw_input_contents[0]
        document["parameters"] = {"binary_data_size": len(binary)}
    else:
        document["data"] = np.asarray(tensor.contents.uint_contents, dtype=np.int64)
    whole = {"id": request.id, "inputs": [document], "outputs": [{"name": one.name} for one in request.outputs]}
    return parse(whole, binary, size=size, batch=batch, known=known)


def _write(tensors: TensorRequest, outputs: Mapping[str, Scores], *, model: str, version: str) -> pb.ModelInferResponse:
    tensor = pb.ModelInferResponse.InferOutputTensor
    values = [outputs[name] for name in tensors.outputs]
    return pb.ModelInferResponse(
        model_name=model,
        model_version=version,
        id=tensors.id or "",
        outputs=[
            tensor(name=name, datatype=DATATYPES[str(value.dtype)], shape=list(value.shape))
            for name, value in zip(tensors.outputs, values, strict=True)
        ],
        raw_output_contents=[value.tobytes() for value in values],
    )
