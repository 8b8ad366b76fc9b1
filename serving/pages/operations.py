"""The operations of an endpoint: paths, parameters, bodies, responses and problems, for the OpenAPI document."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal

from serving import problems
from serving.http.batch import Batch
from serving.http.camera_agents import Cameras
from serving.http.classify import Classification
from serving.http.health import ServedModel
from serving.http.tensors import InferRequest, InferResponse
from serving.pages.limits import Json
from serving.pages.models_page import Registry
from serving.pages.registry_view import Move
from serving.pages.rollback import RollBack
from serving.settings import Limits

SCHEMAS: Final = "#/components/schemas/{name}"
STRING: Final[Json] = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_BINARY: Json = {"type": "string", "format": "binary"}
_V2 = "inference protocol"
_V2_MODEL = "/v2/models/{model}"

_OF_BODIES = (
    problems.BAD_REQUEST,
    problems.BODY_TOO_SLOW,
    problems.TOO_LARGE,
    problems.UNREADABLE,
    problems.OVERLOADED,
)
"""Problems of any request with a body."""


@dataclass(frozen=True)
class Operation:
    """One method of one path. `content`: media types of the response, and their schemas."""

    path: str
    tag: str
    name: str
    summary: str
    _: KW_ONLY
    method: Literal["get", "post"] = "get"
    content: Mapping[str, Json] = field(default_factory=lambda: json_of({"type": "object"}))
    answer: str = ""  # description of the response; empty: the summary
    refusals: Sequence[problems.Kind] = ()
    key: Literal["never", "if required", "always"] = "never"
    parameters: Sequence[Json] = ()
    body: Mapping[str, Json] = field(default_factory=dict[str, Json])
    example: str = ""

    def document(self, *, keys_required: bool) -> Json:
        """Returns the operation in OpenAPI's format."""
        required = self.key == "always" or keys_required
        refusals = list(self.refusals)
        entry: Json = {"tags": [self.tag], "operationId": self.name, "summary": self.summary}
        if self.parameters:
            entry["parameters"] = [*self.parameters]
        if self.body:
            entry["requestBody"] = {"required": True, "content": self.body}
        if self.key != "never":
            refusals += (problems.UNAUTHORIZED, problems.FORBIDDEN, problems.TOO_MANY)
            entry["security"] = [{"bearer": []}, {"header": []}, *([] if required else [{}])]
        if self.example:
            keyed = "curl -H 'Authorization: Bearer pp_…' " if required else "curl "
            entry["x-example"] = self.example.replace("curl ", keyed, 1)
        entry["responses"] = {
            "200": {"description": self.answer or self.summary, "content": self.content},
            **{str(kind.status): {"$ref": f"#/components/responses/{kind.name}"} for kind in refusals},
        }
        return entry


def of(media: str, schema: Json) -> dict[str, Json]:
    """Returns the content of one media type."""
    return {media: {"schema": schema}}


def json_of(schema: type | Json) -> dict[str, Json]:
    """Returns JSON content: of a type, by reference, or of a schema."""
    shape: Json = schema if isinstance(schema, dict) else {"$ref": SCHEMAS.format(name=schema.__name__)}
    return of("application/json", shape)


def _form(name: str, schema: Json) -> dict[str, Json]:
    return of("multipart/form-data", {"type": "object", "properties": {name: schema}, "required": [name]})


def _in_path(name: str, schema: Json = STRING) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


_EXPLAIN: Json = {
    "name": "explain",
    "in": "query",
    "description": "true: add the activation map, how much each place speaks for each class; png: add a picture "
    "of the answered class's map over what the model saw, as a data: URL",
    "schema": {"type": "string", "enum": ["true", "false", "png"], "default": "false"},
}
_ABSTAIN: Json = {
    "name": "abstain",
    "in": "query",
    "description": "true: also return which classes the photo may show, or `neither`; default false",
    "schema": {"type": "boolean", "default": False},
}
_JSON_LENGTH: Json = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Bytes of the body that are JSON; binary tensor data follows them",
    "schema": _COUNT,
}


def operations(limits: Limits) -> Sequence[Operation]:
    """Returns all operations, in the order of the page `/docs`."""
    return (*_classify(limits), *_state(), *_operators(), *_inference_protocol())


def _classify(limits: Limits) -> Sequence[Operation]:
    photos: Json = {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": limits.batch}
    images = of("image/jpeg", _BINARY) | of("image/png", _BINARY) | of("image/webp", _BINARY)
    return (
        Operation(
            "/v1/classify", "classify", "classify", "Classify one photo",
            method="post", parameters=(_EXPLAIN, _ABSTAIN), body=images | _form("image", _BINARY),
            content=json_of(Classification), answer="The photo's class",
            refusals=(*_OF_BODIES, problems.WRONG_TYPE), key="if required",
            example="curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {origin}/v1/classify",
        ),
        Operation(
            "/v1/classify/batch", "classify", "classify_batch",
            "Classify several photos; each has its answer or its own problem",
            method="post", parameters=(_EXPLAIN, _ABSTAIN), body=_form("photo", photos),
            content=json_of(Batch), answer="Answers and problems, in the order of the photos",
            refusals=(*_OF_BODIES, problems.WRONG_TYPE), key="if required",
            example="curl -F photo=@one.jpg -F photo=@two.jpg {origin}/v1/classify/batch",
        ),
    )  # fmt: skip


def _state() -> Sequence[Operation]:
    not_ready = (problems.NOT_READY,)
    return (
        Operation(
            "/v1/model", "state", "served_model", "The version that this process really serves",
            content=json_of(ServedModel),
        ),
        Operation("/healthz/live", "state", "live", "200 while the process runs"),
        Operation("/healthz/ready", "state", "ready", "200 when a verified version answers", refusals=not_ready),
        Operation(
            "/healthz/in-service", "state", "in_service", "200 when a load balancer should send callers",
            refusals=not_ready,
        ),
        Operation(
            "/metrics", "state", "metrics", "Measurements for Prometheus",
            content=of("text/plain", STRING), answer="Text format",
        ),
    )  # fmt: skip


def _operators() -> Sequence[Operation]:
    nothing = (problems.NOT_FOUND, problems.KEYS_UNREAD)
    return (
        Operation(
            "/v1/registry", "operators", "registry",
            "Channels, their last moves, the versions in them, who certified these",
            content=json_of(Registry), refusals=nothing, key="if required",
        ),
        Operation(
            "/v1/versions/{number}/report.html", "operators", "report",
            "The report of a version, as it was published",
            parameters=(_in_path("number", _COUNT),), content=of("text/html", STRING), answer="A page without scripts",
            refusals=(*nothing, problems.UPSTREAM), key="if required",
        ),
        Operation(
            "/v1/roll-back", "operators", "roll_back",
            "Move the channel back by an operator's own right; takes the scope admin, and TLS or loopback",
            method="post", body=json_of(RollBack), content=json_of(Move), answer="The channel's new entry",
            refusals=(*_OF_BODIES, problems.NOT_FOUND, problems.CONFLICT, problems.UPSTREAM), key="always",
        ),
        Operation(
            "/v1/cameras", "operators", "cameras", "The camera agents on this endpoint's machine",
            content=json_of(Cameras), refusals=nothing, key="if required",
        ),
        Operation(
            "/v1/cameras/{agent}/{name}/thumbnail.jpg", "operators", "thumbnail",
            "The last classified frame of a camera, small and blurred as it would be stored",
            parameters=(_in_path("agent", _COUNT), _in_path("name")), content=of("image/jpeg", _BINARY),
            answer="A JPEG", refusals=nothing, key="if required",
        ),
    )  # fmt: skip


def _inference_protocol() -> Sequence[Operation]:
    tensors = of("application/octet-stream", _BINARY)
    nothing = (problems.NOT_FOUND, problems.NOT_READY)
    model = (_in_path("model"),)
    return (
        Operation("/v2", _V2, "v2_server", "Name and extensions of the server"),
        Operation("/v2/health/live", _V2, "v2_live", "Whether the process runs"),
        Operation("/v2/health/ready", _V2, "v2_ready", "Whether it answers", refusals=(problems.NOT_READY,)),
        Operation(_V2_MODEL, _V2, "v2_model", "Inputs and outputs of the model", parameters=model, refusals=nothing),
        Operation(
            f"{_V2_MODEL}/ready", _V2, "v2_model_ready", "Whether the model answers",
            parameters=model, refusals=nothing,
        ),
        Operation(
            f"{_V2_MODEL}/infer", _V2, "infer",
            "Run the model on tensors, as JSON numbers or with the binary tensor extension",
            method="post", parameters=(*model, _JSON_LENGTH), body=json_of(InferRequest) | tensors,
            content=json_of(InferResponse) | tensors, answer="The outputs; binary ones follow the JSON",
            refusals=(*_OF_BODIES, problems.NOT_FOUND), key="if required",
        ),
    )  # fmt: skip
