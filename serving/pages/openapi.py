"""The endpoint's OpenAPI 3.1 document: the address book that `/docs` shows and clients are made from."""

from serving import problems
from serving.settings import Limits

type Json = dict[str, object]

_DESCRIPTION = (
    "Classifies photos with the version that its channel names. Every answer says which version gave it. "
    "Errors are problem documents (RFC 9457)."
)
_THRESHOLD = (
    "Chosen in training for what errors cost: `positive` is the answer from a probability of `threshold` on, "
    "the likeliest of the other classes below it."
)
_STRING: Json = {"type": "string"}
_INTEGER: Json = {"type": "integer"}
_BINARY: Json = {"type": "string", "format": "binary"}


def document(limits: Limits) -> Json:
    """Make the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "petpark endpoint", "version": "1", "description": _DESCRIPTION, "x-limits": _limits(limits)},
        "tags": [
            {"name": "classify", "description": "Photos in, classes out"},
            {"name": "state", "description": "What this process serves, and how it is"},
            {"name": "inference protocol", "description": "Open Inference Protocol v2, for its many clients"},
        ],
        "paths": _classify() | _state() | _inference_protocol(),
        "components": {
            "schemas": {
                "Classification": _classification(),
                "Model": _model(),
                "Problem": _problem(),
                "ServedModel": _served_model(),
                "Tensor": _tensor(),
                "InferRequest": _infer_request(),
                "InferResponse": _infer_response(),
            },
            "responses": {kind.name: _problem_response(kind) for kind in problems.KINDS},
        },
    }


def _limits(limits: Limits) -> Json:
    return {
        "body": f"{limits.body_bytes:,} bytes, within {limits.body_seconds:g} seconds",
        "photo": f"{limits.pixels:,} pixels",
        "tensor": f"{limits.batch} images",
        "header lines": f"within {limits.header_seconds:g} seconds",
        "waiting requests": f"{limits.queue}; beyond them 503 with Retry-After",
    }


def _classify() -> Json:
    operation: Json = {
        "tags": ["classify"],
        "operationId": "classify",
        "summary": "Classify one photo",
        "parameters": [
            {
                "name": "explain",
                "in": "query",
                "description": "Add the activation map: how much each place speaks for each class",
                "schema": {"type": "boolean", "default": False},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/jpeg": {"schema": _BINARY},
                "image/png": {"schema": _BINARY},
                "image/webp": {"schema": _BINARY},
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": {"image": _BINARY}, "required": ["image"]}
                },
            },
        },
        "responses": {"200": _json("The photo's class", "Classification")}
        | _refusals(
            problems.BODY_TOO_SLOW, problems.TOO_LARGE, problems.WRONG_TYPE, problems.UNREADABLE, problems.OVERLOADED
        ),
        "x-example": "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {origin}/v1/classify",
    }
    return {"/v1/classify": {"post": operation}}


def _state() -> Json:
    return {
        "/v1/model": {
            "get": _get("state", "served_model", "The version that this process really serves", "ServedModel")
        },
        "/healthz/live": {"get": _get("state", "live", "200 while the process runs")},
        "/healthz/ready": {
            "get": _get("state", "ready", "200 when a verified version answers", refusals=(problems.NOT_READY,))
        },
        "/metrics": {
            "get": {
                "tags": ["state"],
                "operationId": "metrics",
                "summary": "Measurements for Prometheus",
                "responses": {"200": {"description": "Text format", "content": {"text/plain": {"schema": _STRING}}}},
            }
        },
    }


def _inference_protocol() -> Json:
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
                "application/json": {"schema": _ref("InferRequest")},
                "application/octet-stream": {"schema": _BINARY},
            },
        },
        "responses": {"200": _json("The outputs", "InferResponse")}
        | _refusals(problems.NOT_FOUND, problems.TOO_LARGE, problems.UNREADABLE, problems.OVERLOADED),
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
        f"{model}/infer": {"post": infer},
    }


def _get(
    tag: str, name: str, summary: str, schema: str | None = None, *, refusals: tuple[problems.Kind, ...] = ()
) -> Json:
    success: Json = (
        _json(summary, schema)
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


def _problem_response(kind: problems.Kind) -> Json:
    response: Json = {
        "description": kind.title,
        "content": {"application/problem+json": {"schema": _ref("Problem")}},
        "x-status": kind.status,
    }
    if kind.status == 503:
        response["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": _INTEGER}}
    return response


def _json(description: str, schema: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": _STRING}


def _object(properties: Json, *, optional: tuple[str, ...] = ()) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _or_null(kind: str) -> Json:
    return {"type": [kind, "null"]}


def _classification() -> Json:
    grid: Json = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
    return _object(
        {
            "label": {"type": "string", "description": "The class: the likeliest, unless `decision` says otherwise"},
            "probabilities": {
                "type": "object",
                "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
            },
            "model": _ref("Model"),
            "request_id": _STRING,
            "decision": _decision("object")
            | {"description": _THRESHOLD + " Absent where the likeliest class is the answer."},
            "activation_map": {
                "type": "object",
                "description": "With explain=true: for each class a grid over the photo, rows from the top",
                "additionalProperties": grid,
            },
        },
        optional=("decision", "activation_map"),
    )


def _decision(*kinds: str) -> Json:
    threshold: Json = {"type": "number", "minimum": 0, "description": "Above 1: never"}
    return _object({"positive": _STRING, "threshold": threshold}) | {"type": kinds[0] if len(kinds) == 1 else [*kinds]}


def _model() -> Json:
    return _object({"name": _STRING, "version": _INTEGER, "digest": _STRING})


def _problem() -> Json:
    return _object(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _STRING,
            "status": _INTEGER,
            "detail": {"type": "string", "description": "What was met, and what to do next"},
            "error": {"type": "string", "description": "The detail again, for clients of the inference protocol"},
            "request_id": _STRING,
        }
    )


def _served_model() -> Json:
    return _object(
        {
            "name": _STRING,
            "version": _or_null("integer"),
            "digest": _or_null("string"),
            "channel": _STRING,
            "entry": {"type": ["integer", "null"], "description": "Number of the channel entry in force here"},
            "refused": {
                "type": ["object", "null"],
                "description": "The channel's last entry, if what it names is not served here, and why",
            },
            "experiment": {
                "type": ["object", "null"],
                "description": "The challenger beside this version, if one is tried out, and what this process saw",
            },
            "instance": _STRING,
            "labels": {"type": "array", "items": _STRING},
            "decision": _decision("object", "null")
            | {"description": _THRESHOLD + " Null where the likeliest class is the answer."},
            "certificate": {
                "type": ["object", "null"],
                "description": "Who certified the version, until when, and whether that is over",
            },
            "providers": {"type": "array", "items": _STRING, "description": "What the model computes on"},
        }
    )


def _tensor() -> Json:
    return _object(
        {
            "name": _STRING,
            "datatype": {"type": "string", "enum": ["UINT8", "FP32"]},
            "shape": {"type": "array", "items": _INTEGER},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        optional=("data", "parameters"),
    )


def _infer_request() -> Json:
    return _object(
        {
            "id": _STRING,
            "inputs": {"type": "array", "items": _ref("Tensor"), "minItems": 1, "maxItems": 1},
            "outputs": {"type": "array", "items": _object({"name": _STRING})},
            "parameters": {"type": "object"},
        },
        optional=("id", "outputs", "parameters"),
    )


def _infer_response() -> Json:
    return _object(
        {
            "model_name": _STRING,
            "model_version": _STRING,
            "id": _STRING,
            "outputs": {"type": "array", "items": _ref("Tensor")},
        },
        optional=("id",),
    )
