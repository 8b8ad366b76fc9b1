"""The endpoint's OpenAPI 3.1 document: the address book that `/docs` shows and clients are made from."""

from serving import problems
from serving.pages.limits import described
from serving.pages.schemas import BINARY, STRING, Json, json_answer, outputs, problem_response, reference, schemas
from serving.settings import Limits

_OF_BODIES = (
    problems.BAD_REQUEST,
    problems.BODY_TOO_SLOW,
    problems.TOO_LARGE,
    problems.UNREADABLE,
    problems.OVERLOADED,
)
"""How a request with a body can fail, whatever the body is for."""

_DESCRIPTION = (
    "Classifies photos with the version that its channel names. Every answer says which version gave it. "
    "Errors are problem documents (RFC 9457)."
)
_KEYS = {
    True: "Requests with photos or tensors require an API key.",
    False: "This endpoint needs no API key; if one is sent, its rate limit applies.",
}


def document(
    limits: Limits, *, keys_required: bool = False, grpc_port: int = 0, behind_load_balancer: bool = False
) -> Json:
    """Make the whole document of an endpoint; `grpc_port` 0: there is no gRPC."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "petpark endpoint",
            "version": "1",
            "description": f"{_DESCRIPTION} {_KEYS[keys_required]}{_grpc(grpc_port)}",
            "x-limits": described(limits, addresses=not behind_load_balancer, grpc=bool(grpc_port)),
        },
        "tags": [
            {"name": "classify", "description": "Photos in, classes out"},
            {"name": "state", "description": "What this process serves, and how it is"},
            {"name": "operators", "description": "What the pages Live and Models show and do"},
            {"name": "inference protocol", "description": "Open Inference Protocol v2, for its many clients"},
        ],
        "paths": _classify(limits, keys_required)
        | _state()
        | _operators(keys_required)
        | _inference_protocol(keys_required),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: pp_…"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key"},
            },
            "schemas": schemas(),
            "responses": {kind.name: problem_response(kind) for kind in problems.KINDS},
        },
    }


def _grpc(port: int) -> str:
    return f" The inference protocol is answered over gRPC, too, on port {port}." if port else ""


def _secured(operation: Json, *refusals: problems.Kind, required: bool) -> Json:
    """Describe, for an operation, whether it takes a key, and how it refuses."""
    responses = operation["responses"]
    assert isinstance(responses, dict)  # noqa: S101 - ours
    keyed = _refusals(*refusals, problems.UNAUTHORIZED, problems.FORBIDDEN, problems.TOO_MANY)
    ways: list[Json] = [{"bearer": []}, {"header": []}, *([] if required else [{}])]
    told = operation | {"security": ways, "responses": responses | keyed}
    example = told.get("x-example")
    if required and isinstance(example, str):
        told["x-example"] = example.replace("curl ", "curl -H 'Authorization: Bearer pp_…' ", 1)
    return told


def _abstain() -> Json:
    return {
        "name": "abstain",
        "in": "query",
        "description": "true: also say which classes the photo may show, or `neither`; default false",
        "schema": {"type": "boolean", "default": False},
    }


def _explain() -> Json:
    return {
        "name": "explain",
        "in": "query",
        "description": "true: add the activation map, how much each place speaks for each class; png: add a picture "
        "of the answered class's map over what the model saw, as a data: URL",
        "schema": {"type": "string", "enum": ["true", "false", "png"], "default": "false"},
    }


def _classify(limits: Limits, keys_required: bool) -> Json:
    batch: Json = {
        "tags": ["classify"],
        "operationId": "classify_batch",
        "summary": "Classify several photos; each has its answer or its own problem",
        "parameters": [_explain(), _abstain()],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "photo": {"type": "array", "items": BINARY, "minItems": 1, "maxItems": limits.batch}
                        },
                        "required": ["photo"],
                    }
                }
            },
        },
        "responses": {"200": json_answer("Answers and problems, in the order of the photos", "Batch")},
        "x-example": "curl -F photo=@one.jpg -F photo=@two.jpg {origin}/v1/classify/batch",
    }
    operation: Json = {
        "tags": ["classify"],
        "operationId": "classify",
        "summary": "Classify one photo",
        "parameters": [_explain(), _abstain()],
        "requestBody": {
            "required": True,
            "content": {
                "image/jpeg": {"schema": BINARY},
                "image/png": {"schema": BINARY},
                "image/webp": {"schema": BINARY},
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": {"image": BINARY}, "required": ["image"]}
                },
            },
        },
        "responses": {"200": json_answer("The photo's class", "Classification")},
        "x-example": "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {origin}/v1/classify",
    }
    return {
        "/v1/classify": {"post": _secured(operation, *_OF_BODIES, problems.WRONG_TYPE, required=keys_required)},
        "/v1/classify/batch": {"post": _secured(batch, *_OF_BODIES, problems.WRONG_TYPE, required=keys_required)},
    }


def _state() -> Json:
    return {
        "/v1/model": {
            "get": _get("state", "served_model", "The version that this process really serves", "ServedModel")
        },
        "/healthz/live": {"get": _get("state", "live", "200 while the process runs")},
        "/healthz/ready": {
            "get": _get("state", "ready", "200 when a verified version answers", refusals=(problems.NOT_READY,))
        },
        "/healthz/in-service": {
            "get": _get(
                "state", "in_service", "200 when a load balancer should send callers", refusals=(problems.NOT_READY,)
            )
        },
        "/metrics": {
            "get": {
                "tags": ["state"],
                "operationId": "metrics",
                "summary": "Measurements for Prometheus",
                "responses": {"200": {"description": "Text format", "content": {"text/plain": {"schema": STRING}}}},
            }
        },
    }


def _operators(keys_required: bool) -> Json:
    def read(name: str, summary: str, schema: str) -> Json:
        return _secured(
            _get("operators", name, summary, schema, refusals=(problems.NOT_FOUND,)),
            problems.KEYS_UNREAD,
            required=keys_required,
        )

    thumbnail: Json = {
        "tags": ["operators"],
        "operationId": "thumbnail",
        "summary": "The last classified frame of a camera, small and blurred as it would be stored",
        "parameters": [_in_path("agent", {"type": "integer", "minimum": 0}), _in_path("name")],
        "responses": {"200": {"description": "A JPEG", "content": {"image/jpeg": {"schema": BINARY}}}},
    }
    roll_back: Json = {
        "tags": ["operators"],
        "operationId": "roll_back",
        "summary": "Move the channel back by an operator's own right; takes the scope admin, and TLS or loopback",
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference("RollBack")}}},
        "responses": {"200": json_answer("The channel's new entry", "Move")},
    }
    report: Json = {
        "tags": ["operators"],
        "operationId": "report",
        "summary": "The report of a version, as it was published",
        "parameters": [_in_path("number", {"type": "integer", "minimum": 0})],
        "responses": {"200": {"description": "A page without scripts", "content": {"text/html": {"schema": STRING}}}},
    }
    refusals = (*_OF_BODIES, problems.NOT_FOUND, problems.CONFLICT, problems.UPSTREAM)
    return {
        "/v1/registry": {
            "get": read("registry", "Channels, their last moves, the versions in them, who certified these", "Registry")
        },
        "/v1/versions/{number}/report.html": {
            "get": _secured(report, problems.NOT_FOUND, problems.UPSTREAM, problems.KEYS_UNREAD, required=keys_required)
        },
        "/v1/roll-back": {"post": _secured(roll_back, *refusals, required=True)},
        "/v1/cameras": {"get": read("cameras", "The camera agents beside this endpoint", "Cameras")},
        "/v1/cameras/{agent}/{name}/thumbnail.jpg": {
            "get": _secured(thumbnail, problems.NOT_FOUND, problems.KEYS_UNREAD, required=keys_required)
        },
    }


def _inference_protocol(keys_required: bool) -> Json:
    tag = "inference protocol"
    model = "/v2/models/{model}"
    infer: Json = {
        "tags": [tag],
        "operationId": "infer",
        "summary": "Run the model on tensors, as JSON numbers or with the binary tensor extension",
        "parameters": [
            _in_path("model"),
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "description": "Bytes of the body that are JSON; binary tensor data follows them",
                "schema": {"type": "integer", "minimum": 0},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": reference("InferRequest")},
                "application/octet-stream": {"schema": BINARY},
            },
        },
        "responses": {"200": outputs()},
    }
    named: Json = {"parameters": [_in_path("model")]}
    return {
        "/v2": {"get": _get(tag, "v2_server", "Name and extensions of the server")},
        "/v2/health/live": {"get": _get(tag, "v2_live", "Whether the process runs")},
        "/v2/health/ready": {"get": _get(tag, "v2_ready", "Whether it answers", refusals=(problems.NOT_READY,))},
        model: {
            "get": _get(
                tag, "v2_model", "Inputs and outputs of the model", refusals=(problems.NOT_FOUND, problems.NOT_READY)
            )
            | named
        },
        f"{model}/ready": {
            "get": _get(
                tag, "v2_model_ready", "Whether the model answers", refusals=(problems.NOT_FOUND, problems.NOT_READY)
            )
            | named
        },
        f"{model}/infer": {"post": _secured(infer, *_OF_BODIES, problems.NOT_FOUND, required=keys_required)},
    }


def _get(
    tag: str, name: str, summary: str, schema: str | None = None, *, refusals: tuple[problems.Kind, ...] = ()
) -> Json:
    success: Json = (
        json_answer(summary, schema)
        if schema
        else {"description": summary, "content": {"application/json": {"schema": {"type": "object"}}}}
    )
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "responses": {"200": success} | _refusals(*refusals),
    }


def _refusals(*kinds: problems.Kind) -> Json:
    return {str(kind.status): {"$ref": f"#/components/responses/{kind.name}"} for kind in kinds}


def _in_path(name: str, schema: Json = STRING) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}
