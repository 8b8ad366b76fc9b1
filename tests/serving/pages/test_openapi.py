"""The endpoint against its own OpenAPI document: whatever the document allows, or forbids, is answered as it says."""

from typing import cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.pages.openapi import document
from serving.settings import Limits
from tests.examples import examples
from tests.serving.eager import eager

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    (method.upper(), path)
    for path, item in cast("dict[str, dict[str, object]]", document(Limits())["paths"]).items()
    for method in item
]
QUICK = settings(
    max_examples=examples(12),
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part.strip("/"))
def test_answers_are_those_of_the_document(endpoint, method, path):
    _conform(endpoint, method, path)


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/classify/batch", "/v2/models/{model}/infer"])
def test_refusals_of_an_endpoint_with_keys_are_those_of_the_document(guarded, path):
    seen = _conform(guarded, "POST", path)
    assert seen == {401}


def _conform(endpoint, method: str, path: str) -> set[int]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", eager(endpoint.app))
    seen: set[int] = set()

    @QUICK
    @given(case=schema[path][method].as_strategy())
    def answers(case):
        if "model" in case.path_parameters:
            case.path_parameters["model"] = "pets"
        answer = case.call()
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    answers()
    return seen
