import re
from typing import Any

import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from serving.pages.openapi import document
from serving.settings import Limits

PAGES = ["/", "/live", "/models", "/docs"]
FILES = ["style.css", "common.js", "try.js", "live.js", "models.js", "docs.js", "icon.svg"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_nothing_from_elsewhere(endpoint, path):
    page = endpoint.http.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in set(links) - {"#content"}:
        assert link.startswith("/")
        assert endpoint.http.get(link).status_code == 200, link


@pytest.mark.parametrize("name", FILES)
def test_page_files_name_no_other_host(endpoint, name):
    text = endpoint.http.get(f"/pages/{name}").text.replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE).replace("/*", "")


@pytest.mark.parametrize("name", ["__init__.py", "%2e%2e", "%2e%2e%2fsettings.py", "try.html"])
def test_nothing_else_of_the_disk_is_served(endpoint, name):
    assert endpoint.http.get(f"/pages/{name}").status_code == 404


def test_the_openapi_document_is_valid():
    validate(document(Limits()))


def test_the_openapi_document_says_whether_a_key_is_needed():
    for required in (True, False):
        made: dict[str, Any] = document(Limits(), keys_required=required, grpc_port=8081)
        validate(made)
        (classify,) = made["paths"]["/v1/classify"].values()
        assert ({} in classify["security"]) is not required
        assert ("Bearer pp_" in classify["x-example"]) is required
        assert "8081" in made["info"]["description"]


def test_the_openapi_document_names_every_address_of_the_api(endpoint):
    api = endpoint.http.get("/openapi.json").json()
    served = {
        (route.path, method.lower())
        for route in endpoint.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    documented = {(path, method) for path, item in api["paths"].items() for method in item}
    addresses = (*PAGES, "/pages/{file}", "/pages/texts/{file}", "/openapi.json")
    pages = {(address, "get") for address in addresses}
    assert documented <= served
    assert {(path, method) for path, method in served - documented - pages if "/versions/" not in path} == set()


def test_the_documented_answers_are_the_real_ones(endpoint):
    schemas = endpoint.http.get("/openapi.json").json()["components"]["schemas"]
    output = set(endpoint.classify(explain="true", abstain="true").json()) | set(
        endpoint.classify(explain="png").json()
    )
    documented = schemas["Classification"]
    assert set(documented["properties"]) - output == {"decision"}  # that is in tests/serving/test_decision.py
    assert output <= set(documented["properties"])
    assert "decision" not in documented["required"]
    assert set(endpoint.model()) == set(schemas["ServedModel"]["properties"])
    assert set(endpoint.classify(b"").json()) == set(schemas["ProblemDetails"]["properties"])
