"""The endpoint's OpenAPI 3.1 document, for `/docs` and for generated clients.

The fields of a response are declared as a type next to its handler; msgspec derives the schemas from these types.
"""

import msgspec

from serving import problems
from serving.auth.api_key_auth import ApiKeysState
from serving.http.batch import Batch, BatchResult
from serving.http.camera_agents import Agent, Cameras
from serving.http.classify import Classification
from serving.http.health import ServedModel
from serving.http.tensors import InferRequest, InferResponse, RequestedOutput, Tensor
from serving.inference.loaded_model import AbstentionAnswer, AbstentionRecord, DecisionRule, Model
from serving.pages.limits import Json, described
from serving.pages.models_page import Registry, RollBackState
from serving.pages.operations import SCHEMAS, STRING, of, operations
from serving.pages.registry_view import CertificateState, ChannelView, Move, VersionView
from serving.pages.rollback import Credentials, RollBack
from serving.problems import PhotoProblem, ProblemDetails
from serving.settings import Limits

_TYPES = (
    *(Classification, Batch, BatchResult, Model, DecisionRule, AbstentionAnswer, AbstentionRecord),
    *(ProblemDetails, PhotoProblem, ServedModel, ApiKeysState),
    *(Registry, ChannelView, Move, VersionView, CertificateState, RollBackState, RollBack, Credentials),
    *(Cameras, Agent, Tensor, InferRequest, RequestedOutput, InferResponse),
)

_DESCRIPTION = (
    "Classifies photos with the version that its channel names. Every answer names its version. "
    "Errors are problem documents (RFC 9457)."
)
_KEYS = {
    True: "Requests with photos or tensors require an API key.",
    False: "This endpoint needs no API key; if one is sent, its rate limit applies.",
}


def document(
    limits: Limits, *, keys_required: bool = False, grpc_port: int = 0, behind_load_balancer: bool = False
) -> Json:
    """Returns the document of an endpoint; `grpc_port` 0: without gRPC."""
    grpc = f" The inference protocol is answered over gRPC, too, on port {grpc_port}." if grpc_port else ""
    paths: dict[str, Json] = {}
    for operation in operations(limits):
        paths.setdefault(operation.path, {})[operation.method] = operation.document(keys_required=keys_required)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "petpark endpoint",
            "version": "1",
            "description": f"{_DESCRIPTION} {_KEYS[keys_required]}{grpc}",
            "x-limits": described(limits, addresses=not behind_load_balancer, grpc=bool(grpc_port)),
        },
        "tags": [
            {"name": "classify", "description": "Photos in, classes out"},
            {"name": "state", "description": "What this process serves, and how it is"},
            {"name": "operators", "description": "What the pages Live and Models show and do"},
            {"name": "inference protocol", "description": "Open Inference Protocol v2, for its many clients"},
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: pp_…"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key"},
            },
            "schemas": _schemas(),
            "responses": {kind.name: _problem(kind) for kind in problems.KINDS},
        },
    }


def _schemas() -> Json:
    """Returns the schemas of all types. Members keep the order of their declaration, which msgspec does not."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=SCHEMAS)
    for each in _TYPES:
        schema = schemas[each.__name__]
        order = sorted(each.__annotations__, key=lambda name: name not in schema["required"])
        schema["properties"] = {name: schema["properties"][name] for name in order}
    return schemas


def _problem(kind: problems.Kind) -> Json:
    """The response of a problem."""
    response: Json = {
        "description": kind.title,
        "content": of("application/problem+json", {"$ref": SCHEMAS.format(name=ProblemDetails.__name__)}),
        "x-status": kind.status,
    }
    if kind.status in {429, 503}:
        response["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    if kind.status == 401:
        response["headers"] = {"WWW-Authenticate": {"description": "How to show a key", "schema": STRING}}
    return response
