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


KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems"),
        *("minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum"),
        *("const", "anyOf", "oneOf", "allOf", "$ref", "description", "title", "format", "default", "examples"),
        *("contentMediaType", "contentEncoding", "discriminator"),
    }
)
"""Of JSON Schema 2020-12 and OpenAPI 3.1 that clients understand: any other is passed over in silence."""


def schemas(value, *, named=False):
    """Each schema in a part of the document; `named`: a map from names to schemas."""
    if isinstance(value, list):
        for part in value:
            yield from schemas(part)
    elif isinstance(value, dict):
        if (
            not named
            and ({"type", "$ref", "anyOf", "oneOf", "allOf", "properties"} & set(value))
            and not {"in", "scheme"} & set(value)
        ):
            yield value
        for key, part in value.items():
            if key not in ("example", "examples", "default", "enum", "const"):
                yield from schemas(part, named=key in ("properties", "schemas"))


def test_a_schema_has_no_keyword_that_clients_do_not_know():
    found = [*schemas(document(Limits())["paths"]), *schemas(document(Limits())["components"])]
    assert len(found) > 50
    unknown = {key for each in found for key in each} - KEYWORDS
    assert unknown == set()


def test_a_batch_has_at_least_one_photo_and_at_most_as_many_as_its_limit():
    arrays = [each for each in schemas(document(Limits(batch=7))["paths"]) if each.get("maxItems") == 7]
    assert arrays
    assert all(each["minItems"] == 1 for each in arrays)


def test_every_operation_names_security_schemes_that_the_document_has():
    whole = document(Limits())
    components = cast("dict[str, dict[str, object]]", whole["components"])
    paths = cast("dict[str, dict[str, dict[str, list[dict[str, list[str]]]]]]", whole["paths"])
    secured = [each["security"] for item in paths.values() for each in item.values() if "security" in each]
    assert secured
    for security in secured:
        assert [name for way in security for name in way] == list(components["securitySchemes"])
