"""Shapes of what the endpoint takes and gives, for its OpenAPI document."""

from serving import problems
from serving.inference.explanation import SIDE
from serving.pages.registry_view import SHOWN
from serving.pages.rollback import WHY

type Json = dict[str, object]

_THRESHOLD = (
    "Chosen in training for what errors cost: `positive` is the answer from a probability of `threshold` on, "
    "the likeliest of the other classes below it."
)
STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
BINARY: Json = {"type": "string", "format": "binary"}


def schemas() -> Json:
    """Returns all shapes by their names."""
    return {
        "Classification": _classification(),
        "Batch": _batch(),
        "BatchResult": _batch_result(),
        "Model": _model(),
        "Problem": _problem(),
        "ServedModel": _served_model(),
        "Registry": _registry(),
        "RollBack": _roll_back(),
        "Move": _move(),
        "Cameras": _cameras(),
        "Tensor": _tensor(),
        "InferRequest": _infer_request(),
        "InferResponse": _infer_response(),
    }


def problem_response(kind: problems.Kind) -> Json:
    """Describe how a problem is answered."""
    response: Json = {
        "description": kind.title,
        "content": {"application/problem+json": {"schema": reference("Problem")}},
        "x-status": kind.status,
    }
    if kind.status in {429, 503}:
        response["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": INTEGER}}
    if kind.status == 401:
        response["headers"] = {"WWW-Authenticate": {"description": "How to show a key", "schema": STRING}}
    return response


def outputs() -> Json:
    """Describe the answer to an inference."""
    answer = json_answer("The outputs; binary ones follow the JSON", "InferResponse")
    content = answer["content"]
    assert isinstance(content, dict)  # noqa: S101 - ours
    content["application/octet-stream"] = {"schema": BINARY}
    return answer


def json_answer(description: str, schema: str) -> Json:
    """Describe an answer in JSON of the shape `schema`."""
    return {"description": description, "content": {"application/json": {"schema": reference(schema)}}}


def reference(schema: str) -> Json:
    """Point to a shape by its name."""
    return {"$ref": f"#/components/schemas/{schema}"}


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
            "model": reference("Model"),
            "request_id": STRING,
            "decision": _decision("object")
            | {"description": _THRESHOLD + " Absent where the likeliest class is the answer."},
            "abstention": _abstention(),
            "activation_map": {
                "type": "object",
                "description": "With explain=true: for each class a grid over the photo, rows from the top",
                "additionalProperties": grid,
            },
            "activation_overlay": {
                "type": "string",
                "description": f"With explain=png: a PNG of {SIDE} pixels a side, as a data: URL",
            },
        },
        optional=("decision", "abstention", "activation_map", "activation_overlay"),
    )


def _decision(*kinds: str) -> Json:
    threshold: Json = {"type": "number", "minimum": 0, "description": "Above 1: never"}
    return _object({"positive": STRING, "threshold": threshold}) | {"type": kinds[0] if len(kinds) == 1 else [*kinds]}


def _abstention() -> Json:
    strangeness: Json = {"type": ["number", "null"], "description": "From 0 to 1: how unlike the training photos"}
    return _object(
        {
            "answer": {"type": "string", "description": "A class, `cat or dog?`, or `neither`"},
            "classes": {"type": "array", "items": STRING, "description": "Likeliest first; empty: neither"},
            "coverage": {
                "type": ["number", "null"],
                "description": "Asked: the share of photos of the classes whose answer holds their class",
            },
            "strangeness": strangeness,
        }
    ) | {
        "type": ["object", "null"],
        "description": "With abstain=true; null where the version has no record of abstention. `label` stays as it is",
    }


def _abstention_record() -> Json:
    share: Json = {"type": "number", "minimum": 0, "maximum": 1}
    return _object(
        {
            "coverage": share | {"description": "Asked: the share of photos of the classes whose answer holds theirs"},
            "strangeness": share | {"description": "The limit: an answer is `neither` above it"},
            "thresholds": {
                "type": "object",
                "additionalProperties": share,
                "description": "For each class the probability from which it is part of an answer",
            },
            "grouped_by": {"type": "string", "description": "Whose groups calibration left out; empty: photos"},
            "groups": INTEGER,
            "photos": {"type": "integer", "description": "That the limit was calibrated on"},
        }
    ) | {"type": ["object", "null"], "description": "When this version abstains; null where it cannot"}


def _batch() -> Json:
    return _object(
        {
            "model": reference("Model"),
            "request_id": STRING,
            "decision": _decision("object")
            | {"description": _THRESHOLD + " Absent where the likeliest class is the answer."},
            "results": {
                "type": "array",
                "items": reference("BatchResult"),
                "description": "In the order of the photos",
            },
        },
        optional=("decision",),
    )


def _batch_result() -> Json:
    answer = _classification()["properties"]
    assert isinstance(answer, dict)  # noqa: S101 - ours
    told = {
        name: answer[name] for name in ("label", "probabilities", "abstention", "activation_map", "activation_overlay")
    }
    problem = _object(
        {"type": STRING, "title": STRING, "status": INTEGER, "detail": STRING},
    )
    return _object(
        {
            "name": {"type": "string", "description": "What the form calls the file"},
            **told,
            "problem": problem | {"description": "Why this photo has no answer"},
        },
        optional=(*told, "problem"),
    )


def _model() -> Json:
    return _object({"name": STRING, "version": INTEGER, "digest": STRING})


def _problem() -> Json:
    return _object(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": STRING,
            "status": INTEGER,
            "detail": {"type": "string", "description": "What was met, and what to do next"},
            "error": {"type": "string", "description": "The detail again, for clients of the inference protocol"},
            "request_id": STRING,
        }
    )


def _served_model() -> Json:
    return _object(
        {
            "name": STRING,
            "version": _or_null("integer"),
            "digest": _or_null("string"),
            "channel": STRING,
            "entry": {"type": ["integer", "null"], "description": "Number of the channel entry in force here"},
            "refused": {
                "type": ["object", "null"],
                "description": "The channel's last entry, if what it names is not served here, and why",
            },
            "experiment": {
                "type": ["object", "null"],
                "description": "The challenger beside this version, if one is tried out, and what this process saw",
            },
            "instance": STRING,
            "labels": {"type": "array", "items": STRING},
            "decision": _decision("object", "null")
            | {"description": _THRESHOLD + " Null where the likeliest class is the answer."},
            "abstention": _abstention_record(),
            "certificate": {
                "type": ["object", "null"],
                "description": "Until when the version is certified, whether that is over; with an API key, by whom",
            },
            "providers": {"type": "array", "items": STRING, "description": "What the model computes on"},
            "providers_wanted": {"type": "array", "items": STRING, "description": "What it was wanted to compute on"},
            "api_keys": _object(
                {
                    "required": {"type": "boolean", "description": "Whether callers need an API key"},
                    "known": {"type": "integer", "description": "Keys known here"},
                    "read_seconds_ago": _or_null("number"),
                }
            ),
        }
    )


def _move() -> Json:
    return _object(
        {
            "channel": STRING,
            "number": INTEGER,
            "version": INTEGER,
            "digest": STRING,
            "by": STRING,
            "why": STRING,
            "previous": _or_null("integer"),
            "restores": _or_null("integer") | {"description": "A roll back: the entry whose state it brings back"},
            "at": STRING,
            "write_id": STRING,
            "previous_sha256": _or_null("string"),
        },
        optional=("by", "why"),  # for callers with a key
    )


def _registry() -> Json:
    moves: Json = {"type": "array", "items": reference("Move"), "description": f"The newest {SHOWN}, newest first"}
    channel = _object({"name": STRING, "moves": moves, "error": _or_null("string")})
    metrics: Json = {"type": "object", "additionalProperties": {"type": "number"}}
    certificate = _object(
        {"state": {"type": "string", "enum": ["in force", "expired", "refused", "revoked", "none", "unchecked"]}}
    )
    details: Json = {
        "created_at": STRING,
        "labels": {"type": "array", "items": STRING},
        "metrics": metrics,
        "gates": {
            "type": "object",
            "additionalProperties": {"type": "string", "enum": ["passed", "failed", "not measured"]},
        },
        "lineage": {"type": "object", "additionalProperties": STRING},
        "report": {"type": "boolean", "description": "Whether it has a report to read"},
        "certificate": certificate,
    }
    version = _object(
        {"number": INTEGER, "digest": STRING, "error": _or_null("string"), **details}, optional=tuple(details)
    )
    return _object(
        {
            "model": STRING,
            "follows": {"type": "string", "description": "The channel that this endpoint follows"},
            "read_at": STRING,
            "error": _or_null("string") | {"description": "Why the registry cannot be read now"},
            "channels": {"type": "array", "items": channel},
            "versions": {"type": "array", "items": version},
            "before": _or_null("integer") | {"description": "The version that a roll back brings back"},
            "experiment": {"type": ["object", "null"], "description": "How the last experiment began, or ended"},
            "roll_back": _object({"possible": {"type": "boolean"}, "confidential": {"type": "boolean"}}),
        }
    )


def _roll_back() -> Json:
    credentials = _object(
        {"access_key_id": STRING, "secret_access_key": STRING, "session_token": _or_null("string")},
        optional=("session_token",),
    )
    expected = {"description": "Number of the channel entry that the decision rests on", "minimum": 1}
    to = {"description": "A version that was in force once; without it the one before", "minimum": 1}
    return _object(
        {
            "expected": INTEGER | expected,
            "to": _or_null("integer") | to,
            "why": STRING | {"minLength": 1, "maxLength": WHY},
            "credentials": credentials
            | {"description": "The operator's own, used once and kept nowhere: aws configure export-credentials"},
        },
        optional=("to",),
    )


def _cameras() -> Json:
    agent = _object(
        {
            "error": _or_null("string") | {"description": "Why this agent gives no answer"},
            "cameras": {"type": "array", "items": {"type": "object"}},
            "spool": {"type": "object"},
            "forwarding": {"type": "object"},
        },
        optional=("spool", "forwarding"),
    )
    return _object({"agents": {"type": "array", "items": agent}})


def _tensor() -> Json:
    return _object(
        {
            "name": STRING,
            "datatype": {"type": "string", "enum": ["UINT8", "FP32"]},
            "shape": {"type": "array", "items": INTEGER},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        optional=("data", "parameters"),
    )


def _infer_request() -> Json:
    return _object(
        {
            "id": STRING,
            "inputs": {"type": "array", "items": reference("Tensor"), "minItems": 1, "maxItems": 1},
            "outputs": {"type": "array", "items": _object({"name": STRING})},
            "parameters": {"type": "object"},
        },
        optional=("id", "outputs", "parameters"),
    )


def _infer_response() -> Json:
    return _object(
        {
            "model_name": STRING,
            "model_version": STRING,
            "id": STRING,
            "outputs": {"type": "array", "items": reference("Tensor")},
        },
        optional=("id",),
    )
