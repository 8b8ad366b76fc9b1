"""The rules over `pulumi preview --json`. `preview.json` is a part of what CLI v3.274.0 printed for stack test."""

import copy
import json
from typing import Any

import pytest

from infra.rules import UNKNOWN, check
from infra.rules.preview import PreviewUnusable, read_preview
from tests.infra.conftest import ROOT, Deployment
from tests.infra.rules.conftest import limits_of, violated

PRINTED: dict[str, Any] = json.loads((ROOT / "tests/infra/rules/preview.json").read_text())
NOT_KNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def digest(deployment: Deployment, op: str = "create") -> dict[str, Any]:
    """What the CLI would print of a deployment, in the form of the recorded document."""
    steps = [
        {
            "op": op,
            "urn": one.urn,
            "newState": {
                "urn": one.urn,
                "type": one.type,
                "inputs": json.loads(json.dumps(dict(one.inputs), default=str)),
                "protect": one.protect,
                "retainOnDelete": one.retain,
                "propertyDependencies": {name: sorted(urns) or None for name, urns in one.refers.items()},
            },
        }
        for one in deployment.resources
    ]
    return {"steps": steps, "diagnostics": [], "changeSummary": {op: len(steps)}}


@pytest.mark.parametrize("op", ["create", "same", "update"])
def test_a_preview_of_what_is_shipped_violates_nothing(deployments, op):
    for stack, deployment in deployments.items():
        assert violated(check(read_preview(digest(deployment, op)), limits_of(stack))) == set()


def test_a_resource_is_read_with_its_inputs_options_and_references():
    found = {one.name: one for one in read_preview(PRINTED)}
    assert found["code-bundle"].retain is True
    assert found["code-bundle"].properties["bucket"] is UNKNOWN
    assert found["data-lake-bucket"].type == "aws:s3/bucket:Bucket"
    assert found["data-lake-closed"].refers["bucket"] == {found["data-lake-bucket"].urn}
    assert found["endpoint-instance"].get("metadataOptions", "httpTokens") == "required"


def test_before_the_first_deployment_policies_and_user_data_are_not_decided_and_the_rest_is():
    found = check(read_preview(PRINTED), limits_of("test"))
    assert {(one.rule.name, one.name) for one in found if not one.decided and one.name} == {
        ("bucket-not-public", "models-policy"),
        ("training-watchdog", "training-machine-template"),
    }
    assert [one for one in found if one.decided] == []


def test_a_violation_in_a_preview_is_found():
    changed = copy.deepcopy(PRINTED)
    for step in changed["steps"]:
        if step["urn"].endswith("::endpoint-instance"):
            step["newState"]["inputs"]["metadataOptions"]["httpTokens"] = "optional"
    found = [one for one in check(read_preview(changed), limits_of("test")) if one.decided]
    assert [(one.rule.name, one.name) for one in found] == [("imdsv2", "endpoint-instance")]


def test_of_a_replaced_resource_the_new_one_counts_and_of_a_deleted_one_none():
    changed = copy.deepcopy(PRINTED)
    by_name = {step["urn"].split("::")[-1]: step for step in changed["steps"]}
    instance = by_name["endpoint-instance"]
    changed["steps"] += [
        {"op": "replace", "urn": instance["urn"], "newState": instance["newState"]},
        {"op": "delete-replaced", "urn": instance["urn"], "oldState": instance["newState"], "newState": None},
    ]
    instance["op"] = "create-replacement"
    by_name["models-policy"] |= {"op": "delete", "oldState": by_name["models-policy"].pop("newState")}
    names = [one.name for one in read_preview(changed)]
    assert names.count("endpoint-instance") == 1
    assert "models-policy" not in names


def test_secrets_are_not_judged():
    changed = copy.deepcopy(PRINTED)
    for step in changed["steps"]:
        if step["urn"].endswith("::endpoint-instance"):
            step["newState"]["inputs"]["instanceType"] = "[secret]"
    assert [one.properties["instanceType"] for one in read_preview(changed) if one.name == "endpoint-instance"] == [
        UNKNOWN
    ]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "expected the output of `pulumi preview --json`"),
        ({"steps": {}}, "expected the output of `pulumi preview --json`"),
        (
            {"steps": [], "changeSummary": {"same": 3}},
            "3 unchanged resources are not in the document; run .* --show-sames",
        ),
        (
            {"steps": [], "diagnostics": [{"severity": "error", "message": "program failed\n"}]},
            "the preview failed, so it does not name every resource: program failed$",
        ),
    ],
)
def test_a_document_that_is_no_whole_preview_is_refused(document, told):
    with pytest.raises(PreviewUnusable, match=told):
        read_preview(document)
