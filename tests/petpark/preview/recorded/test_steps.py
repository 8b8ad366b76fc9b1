"""What a program declares against what was recorded, without running it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.errors import RecordUnreadable
from petpark.preview.plan import Op
from petpark.preview.pulumi_json import SECRET, SECRET_MARK, SIGNATURE, UNKNOWN, read_plan
from petpark.preview.recorded import states
from petpark.preview.recorded.record import Answer, RecordedResource, StackRecord
from petpark.preview.recorded.steps import Declared, ProviderSettings, document
from rehearsal.engine.values import UNKNOWN_MARK

BUCKET = "aws:s3/bucket:Bucket"
URN = f"urn:pulumi:test::petpark::{BUCKET}::photos"

NAMES = st.sampled_from(["bucket", "acl", "tags", "rules", "region"])
VALUES = st.recursive(
    st.text("ab", max_size=3) | st.integers(0, 3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=6,
)
INPUTS = st.dictionaries(NAMES, VALUES, max_size=4)


def resource(urn: str = URN, **facts: Any) -> RecordedResource:
    return RecordedResource(urn=urn, type=BUCKET, custom=True, id="photos-1", **facts)


def declared(urn: str = URN, **facts: Any) -> Declared:
    whole: dict[str, Any] = {"inputs": {}, **facts}
    return Declared(urn=urn, type=BUCKET, custom=True, **whole)


def compare(old: RecordedResource | None, new: Declared | None, **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"provider": ProviderSettings(region="eu-west-1"), "forcing": {}, **more}
    return document([new] if new else [], [old] if old else [], **arguments)


def changes(found: dict[str, Any]) -> list[tuple[Op, list[tuple[str, str | None, str | None]]]]:
    plan = read_plan(json.dumps(found), stack="test")
    return [(each.op, [(one.path, one.before, one.after) for one in each.properties]) for each in plan.changes]


@given(INPUTS)
def test_what_is_declared_as_recorded_is_unchanged(inputs: dict[str, Any]) -> None:
    assert changes(compare(resource(inputs=inputs), declared(inputs=inputs))) == []


@given(INPUTS, INPUTS)
def test_defaults_that_the_provider_filled_in_are_no_difference_unless_declared(
    inputs: dict[str, Any], filled: dict[str, Any]
) -> None:
    recorded = {**filled, **inputs, "__defaults": [name for name in filled if name not in inputs]}
    assert changes(compare(resource(inputs=recorded), declared(inputs=inputs))) == []
    for name, value in filled.items():
        if name not in inputs:
            told = changes(compare(resource(inputs=recorded), declared(inputs={**inputs, name: "other"})))
            assert bool(told) == (value != "other")


def test_defaults_inside_of_lists_are_none_either() -> None:
    old = {"rules": [{"prefix": "a", "enabled": True, "__defaults": ["enabled"]}], "__defaults": []}
    assert changes(compare(resource(inputs=old), declared(inputs={"rules": [{"prefix": "a"}]}))) == []


def test_a_property_that_is_not_declared_any_more_is_removed() -> None:
    found = changes(compare(resource(inputs={"bucket": "a", "__defaults": []}), declared()))
    assert found == [(Op.UPDATE, [("bucket", "a", None)])]


def test_only_a_changed_property_forces_a_replacement() -> None:
    old = resource(inputs={"bucket": "a", "acl": "x"})
    new = declared(inputs={"bucket": "a", "acl": "y"})
    assert changes(compare(old, new, forcing={URN: frozenset({"bucket"})}))[0][0] is Op.UPDATE
    plan = read_plan(json.dumps(compare(old, new, forcing={URN: frozenset({"acl"})})), stack="test")
    assert [(each.op, each.properties[0].forces) for each in plan.changes] == [(Op.REPLACE, True)]


def test_what_is_declared_no_more_is_deleted_unless_the_program_failed() -> None:
    old = resource(protect=True)
    plan = read_plan(json.dumps(compare(old, None)), stack="test")
    assert [(each.op, each.protected) for each in plan.changes] == [(Op.DELETE, True)]
    failed = compare(old, None, errors=["the program failed"])
    assert changes(failed) == []
    assert failed["diagnostics"] == [{"severity": "error", "message": "the program failed"}]


def test_a_resource_under_a_new_name_goes_on_by_its_alias() -> None:
    new = declared(urn=f"{URN}-renamed", aliases=(URN,))
    assert changes(compare(resource(), new)) == []


def test_a_sealed_resource_is_not_compared() -> None:
    assert changes(compare(resource(sealed=True), declared(inputs={"bucket": "a"}))) == []


def test_a_change_of_the_default_tags_is_a_change_of_all_that_have_tags() -> None:
    old = resource(inputs={"tags": {"Name": "x"}, "tagsAll": {"Name": "x"}}, outputs={"tagsAll": {"Name": "x"}})
    new = declared(inputs={"tags": {"Name": "x"}})
    assert changes(compare(old, new)) == []
    assert changes(compare(old, new, provider=ProviderSettings(default_tags={"team": "park"}))) == [
        (Op.UPDATE, [("tagsAll.team", None, "park")])
    ]


def test_the_region_that_the_provider_wrote_into_a_resource_is_no_difference() -> None:
    assert changes(compare(resource(inputs={"region": "eu-west-1", "__defaults": []}), declared())) == []
    other = changes(compare(resource(inputs={"region": "us-east-1"}), declared(inputs={"region": "eu-west-1"})))
    assert other == [(Op.UPDATE, [("region", "us-east-1", "eu-west-1")])]


def test_secrets_and_what_is_not_known_yet_stand_as_such() -> None:
    old = resource(inputs={"bucket": SECRET_MARK, "acl": "x"})
    new = declared(inputs={"bucket": SECRET, "acl": UNKNOWN_MARK})
    assert changes(compare(old, new)) == [(Op.UPDATE, [("acl", "x", UNKNOWN)])]


@given(st.permutations(["a", "b", "c"]), INPUTS)
def test_a_record_has_the_same_bytes_in_any_order_and_is_read_back(order: list[str], inputs: dict[str, Any]) -> None:
    def made(names: list[str]) -> StackRecord:
        return StackRecord(
            project="petpark",
            stack="test",
            state="17",
            commit="0" * 40,
            resources=tuple(resource(urn=f"{URN}-{name}", inputs=inputs) for name in names),
            answers=tuple(Answer(token=name, arguments={}, result={"x": 1}) for name in names),
        )

    text = made(order).to_text()
    assert text == made(sorted(order)).to_text()
    assert StackRecord.from_text(text) == made(sorted(order))


@pytest.mark.parametrize(
    "facts",
    [
        *({"format": 2}, {"state": "a b"}, {"commit": "main"}, {"resources": [{}]}, {"answers": [1]}, {"extra": 1}),
        *({"models": []}, {"stack": None}),
    ],
)
def test_a_record_with_anything_odd_is_refused(facts: dict[str, Any]) -> None:
    whole = StackRecord(project="petpark", stack="test", state="1", commit="unknown", resources=(resource(),))
    text = json.dumps({**json.loads(whole.to_text()), **facts})
    for wrong in (text, "[" * 100_000, "[]"):
        with pytest.raises(RecordUnreadable, match="not a record"):
            StackRecord.from_text(wrong)


def exported(*resources: dict[str, Any]) -> str:
    return json.dumps({"version": 3, "deployment": {"resources": list(resources)}})


def test_no_secret_of_an_exported_state_is_read() -> None:
    secret = {SIGNATURE: SECRET_MARK[SIGNATURE], "ciphertext": "v1:abc", "plaintext": '"hidden"'}
    one = {
        "urn": URN,
        "type": BUCKET,
        "custom": True,
        "inputs": {"rules": [{"x": secret}]},
        "outputs": {"bucket": secret},
    }
    (read,) = states.read(exported(one)).resources
    assert read.inputs == {"rules": [{"x": SECRET_MARK}]}
    assert read.outputs == {"bucket": SECRET_MARK}


def test_of_an_exported_state_only_what_the_program_declares_counts() -> None:
    other = "organization/petpark/test"
    state = states.read(
        exported(
            {"urn": "a", "type": "pulumi:providers:aws", "custom": True},
            {
                "urn": "b",
                "type": "pulumi:pulumi:StackReference",
                "outputs": {"name": other, "outputs": {"region": "x"}},
            },
            {"urn": "c", "type": BUCKET, "custom": True, "delete": True},
            {"urn": "d", "type": BUCKET, "custom": True, "external": True},
            {"urn": URN, "type": "pulumi:pulumi:Stack", "outputs": {"model": "pets"}},
        )
    )
    assert [each.urn for each in state.resources] == [URN]
    assert state.references == {other: {"region": "x"}}
    assert state.outputs == {"model": "pets"}


def test_a_state_of_the_embedded_engine_is_read_without_what_it_sealed() -> None:
    one = {
        **{"urn": URN, "type": BUCKET, "custom": True, "id": "photos-1", "protect": False, "autonamed": "bucket"},
        **{"inputs": {"bucket": "photos-1", "source": {SIGNATURE: next(iter(states.ASSETS)), "path": "/a/b.zip"}}},
        **{"outputs": {"arn": "x"}, "provider_state": {"fields": {"source": f"assets/{'0' * 64}"}}},
    }
    sealed = {"urn": f"{URN}-2", "type": BUCKET, "custom": True, "protect": True, "sealed": "abc"}
    state = states.read(json.dumps({"format": 2, "serial": 9, "salt": "", "resources": [one, sealed]}))
    read, closed = state.resources
    assert state.version == "9"
    assert read.inputs["__defaults"] == ["bucket"]
    assert (read.inputs["source"]["hash"], read.inputs["source"]["path"]) == ("0" * 64, "b.zip")
    assert closed == replace(resource(urn=f"{URN}-2", protect=True, sealed=True), id="")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 3}', '{"version": 2, "deployment": {}}', "[" * 100_000])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(RecordUnreadable, match="neither what `pulumi stack export` prints"):
        states.read(text)
