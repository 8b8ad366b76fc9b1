"""The page of a preview: golden pages of typical changes, and what holds for every page."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.configuration import prices
from petpark.preview import cost, page
from petpark.preview.page import LIMIT, MARK, comment
from petpark.preview.plan import Op, Plan, PropertyChange, ResourceChange
from petpark.preview.pulumi_json import SECRET, read_plan
from petpark.preview.values import compare
from tests.examples import examples
from tests.infra.conftest import Deployment, deploy, write_checkout
from tests.petpark.preview.previews import digest

GOLDEN = Path(__file__).parent / "golden"
BOUND = {"test": "17", "prod": "9"}
"""Stack -> the version of its state."""


def planned(text: str, stack: str = "test") -> Plan:
    """The plan of a preview's text, bound to something."""
    return dataclasses.replace(read_plan(text, stack=stack), commit="0" * 40, tree="1" * 40, state=BOUND[stack])


def changed(stack: str, code: Path, now: Mapping[str, Deployment], **settings: str) -> Plan:
    others = {} if stack == "test" else {"test": now["test"]}
    return planned(digest(now[stack], deploy(stack, code, others, **settings)), stack)


def same_as_golden(name: str, text: str) -> None:
    """Compare with the golden page, which a person has read; PETPARK_GOLDEN=write replaces it."""
    file = GOLDEN / f"{name}.md"
    if os.environ.get("PETPARK_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_a_bigger_instance(code: Path, now: Mapping[str, Deployment]) -> None:
    plan = changed("test", code, now, endpoint_instance_type="c7i.xlarge")
    same_as_golden("bigger-instance", comment([plan]))


def test_clients_from_everywhere(code: Path, now: Mapping[str, Deployment]) -> None:
    plan = changed("prod", code, now, clients="0.0.0.0/0")
    same_as_golden("wider-firewall", comment([plan]))


def test_other_code_replaces_the_bundle_and_the_instance(
    code: Path, now: Mapping[str, Deployment], tmp_path: Path
) -> None:
    after = deploy("test", write_checkout(tmp_path, "changed"), {})
    same_as_golden("code-only", comment([planned(digest(now["test"], after), "test")]))


def test_other_dependencies_replace_the_bundle_and_the_instance(
    code: Path, now: Mapping[str, Deployment], tmp_path: Path
) -> None:
    folder = write_checkout(tmp_path)
    (folder / "requirements" / "file.txt").write_text("onnxruntime==1.25.0\n")
    after = planned(digest(now["test"], deploy("test", folder, {})))
    same_as_golden("dependencies-only", comment([after]))


def test_cameras_that_need_a_key(code: Path, now: Mapping[str, Deployment]) -> None:
    """Keys themselves are in no plan (`petpark keys create`); that an endpoint asks for one is."""
    plan = changed("test", code, now, api_keys="required", allow_keys_over_http="true")
    same_as_golden("camera-keys", comment([plan]))


def test_a_page_too_long_counts_what_it_leaves_out_and_keeps_what_would_be_lost() -> None:
    policy = json.dumps(
        {"Statement": [{"Action": f"s3:Action{n}", "Resource": "arn:aws:s3:::park"} for n in range(40)]}
    )
    changes = [
        ResourceChange(
            op=Op.UPDATE,
            urn=f"urn:pulumi:test::petpark::aws:iam/rolePolicy:RolePolicy::camera-{number:03}-of-the-park",
            properties=(PropertyChange(path="policy", before="{}", after=f"{policy} {number}"),),
        )
        for number in range(900)
    ]
    lost = ResourceChange(op=Op.DELETE, urn="urn:pulumi:test::petpark::aws:s3/bucket:Bucket::photos")
    plan = Plan(stack="test", changes=(*changes, lost), unchanged=3, source="pulumi 3.274.0")
    text = comment([plan])
    same_as_golden("too-long", text)
    assert len(text) <= LIMIT < len(page.page([plan]))


def test_a_protected_bucket_that_would_be_replaced_is_refused(code: Path) -> None:
    before = deploy("test", code, {}, protect_data="true")
    named = [
        dataclasses.replace(one, inputs={**one.inputs, "bucket": "pets-models"})
        if one.name == "models-store-bucket"
        else one
        for one in before.resources
    ]
    text = comment([planned(digest(before, dataclasses.replace(before, resources=tuple(named))))])
    same_as_golden("replaced-bucket", text)
    assert "It is protected: `up` refuses this." in text


def test_object_lock_and_protection_of_data(code: Path, now: Mapping[str, Deployment]) -> None:
    plan = changed("test", code, now, object_lock_days="30", protect_data="true")
    text = comment([plan])
    same_as_golden("object-lock", text)


def test_everything_is_taken_down(now: Mapping[str, Deployment]) -> None:
    plan = planned(digest(now["prod"], None), "prod")
    assert {change.op for change in plan.changes} == {Op.DELETE}
    same_as_golden("destroy", comment([plan]))


def test_both_stacks_from_nothing_fit_one_comment(now: Mapping[str, Deployment]) -> None:
    plans = [planned(digest(None, now[stack]), stack) for stack in ("test", "prod")]
    text = comment(plans)
    same_as_golden("two-stacks", text)
    assert len(text) <= LIMIT < len(page.page(plans))


def test_a_change_that_changes_nothing_says_so(now: Mapping[str, Deployment]) -> None:
    text = comment([planned(digest(now["test"], now["test"]), "test")])
    assert "No resource changes." in text
    assert "CAUTION" not in text


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=200)
NAMES = st.text(st.sampled_from("abc-_`<>|*@\n"), min_size=1, max_size=30)
TYPES = st.sampled_from(["aws:s3/bucket:Bucket", "aws:ec2/instance:Instance", "aws:iam/role:Role"])
PROPERTIES = st.builds(
    PropertyChange, path=NAMES, before=TEXTS | st.none(), after=TEXTS | st.none(), forces=st.booleans()
)
CHANGES = st.builds(
    lambda op, type_, name, properties, protected: ResourceChange(
        op=op, urn=f"urn:pulumi:test::petpark::{type_}::{name}", properties=tuple(properties), protected=protected
    ),
    st.sampled_from(Op),
    TYPES,
    NAMES,
    st.lists(PROPERTIES, max_size=20),
    st.booleans(),
)
PLANS = st.builds(
    Plan,
    stack=st.just("test"),
    changes=st.lists(CHANGES, max_size=60).map(tuple),
    unchanged=st.integers(0, 99),
    source=st.just("x"),
)


@given(PLANS, st.integers(2_000, 20_000))
@settings(max_examples=examples(60))
def test_a_page_of_any_plan_fits_and_counts_everything(plan: Plan, limit: int) -> None:
    text = comment([plan], limit=limit)
    assert len(text) <= limit
    assert text.startswith(MARK)
    counts = [str(len(plan.of(op)) or "–") for op in (Op.REPLACE, Op.DELETE, Op.UPDATE, Op.CREATE)]
    assert f"| **test** | {' | '.join(counts)} | {plan.unchanged} |" in text
    assert plan.digest in text


@given(PLANS)
@settings(max_examples=examples(60))
def test_no_name_and_no_value_leaves_its_line_or_becomes_markup(plan: Plan) -> None:
    text = page.page([plan])
    # Fenced blocks first: a pattern for code spans would take a fence alone for an empty span, and leave its content.
    outside = re.sub(r"^ *(`{3,})diff$.*?^ *\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"(`+).*?\1(?!`)", "", outside)
    outside = re.sub(r"</?(details|summary|code)>|<!-- petpark preview -->", "", outside)
    assert not re.search(r"(?<!\\)<[a-z]", outside), outside


@given(PLANS)
@settings(max_examples=examples(40))
def test_what_a_plan_loses_stands_above_everything_else(plan: Plan) -> None:
    text = page.page([plan])
    for change in plan.changes:
        assert bool(change.loses) == (change.op in {Op.REPLACE, Op.DELETE} and change.type == "aws:s3/bucket:Bucket")
    assert text.count("Lost: every object in it") == sum(bool(change.loses) for change in plan.changes)
    if any(change.loses for change in plan.changes):
        assert text.index("[!CAUTION]") < text.index("### Stack")


def test_a_very_long_section_is_left_to_the_artifact() -> None:
    plan = Plan(stack="test", changes=(), unchanged=3, source="x")
    text = comment([plan], sections=["m" * LIMIT])
    assert len(text) < 2_000
    assert "artifact `preview-<stack>`" in text


def test_a_secret_is_the_word_secret_on_both_sides() -> None:
    change = PropertyChange(path="password", before=SECRET, after=SECRET)
    urn = "urn:pulumi:test::petpark::aws:ec2/instance:Instance::one"
    plan = Plan(
        stack="test", changes=(ResourceChange(op=Op.UPDATE, urn=urn, properties=(change,)),), unchanged=0, source="x"
    )
    assert "`password`: `[secret]` → `[secret]`" in page.page([plan])


ODD = st.text(st.sampled_from("a`<>|*@#\r\n\x0b\x0c\x85\u2028\u202e\x1b\x00 "), min_size=1, max_size=30)


@given(ODD, ODD, ODD)
@settings(max_examples=examples(60))
def test_no_character_of_a_plan_ends_a_line_or_hides_others(name: str, value: str, problem: str) -> None:
    plain, odd = (
        page.page([_one(name=each[0], before=each[1], after="x\n" + each[1], problems=(each[2],))])
        for each in (("a", "a", "a"), (name, value, problem))
    )
    assert not re.search(r"[\r\x0b\x0c\x85\u2028\u202e\x1b\x00]", odd)
    heads = [line for line in odd.split("\n") if not line.startswith("  ")]
    assert len(heads) == len([line for line in plain.split("\n") if not line.startswith("  ")])


def test_a_name_in_a_summary_stays_on_its_line() -> None:
    text = page.page([_one(op=Op.CREATE, name="a\n\n# Title\n</details>@x", before=None, after="b")])
    assert "<code>a⏎⏎# Title⏎&lt;/details&gt;@x</code>" in text


def test_a_type_or_a_stack_becomes_no_link(tmp_path: Path) -> None:
    urn = "urn:pulumi:test::petpark::https://pets.example::one"
    plan = Plan(stack="www.pets.example", changes=(ResourceChange(op=Op.DELETE, urn=urn),), unchanged=0, source="x")
    costs = cost.costs(tmp_path, plan.stack, prices.load(), base=None, today=date(2026, 11, 30))
    text = page.page([plan], sections=[cost.section(dataclasses.replace(plan, costs=costs))])
    assert "Cost of stack" in text
    assert "https:\\//pets.example" in text
    assert not re.search(r"://|www\.", re.sub(r"(`+).*?\1(?!`)", "", text))


def test_a_value_keeps_the_spaces_around_it() -> None:
    assert "`  a  `" in page.page([_one(before=" a ", after="b")])


@pytest.mark.parametrize("facts", [{"stack": "test\r# T"}, {"stack": "a|b"}, {"source": "@all"}, {"unchanged": -1}])
def test_a_plan_of_no_possible_stack_or_source_is_refused(facts: Mapping[str, Any]) -> None:
    whole: dict[str, Any] = {"stack": "test", "changes": (), "unchanged": 0, "source": "x"}
    assert Plan(**whole).digest
    with pytest.raises(ValueError, match="not a plan"):
        Plan(**{**whole, **facts})


@pytest.mark.parametrize("urn", ["x", "urn:pulumi:test::p::aws:s3/bucket:Bucket\r::a", "urn:pulumi:test::p::@x::a"])
def test_a_urn_that_pulumi_does_not_make_is_refused(urn: str) -> None:
    with pytest.raises(ValueError, match="is not a URN"):
        ResourceChange(op=Op.UPDATE, urn=urn)


def test_a_long_name_does_not_push_out_the_rest() -> None:
    many = tuple(_one(name=name).changes[0] for name in ("n" * LIMIT, "short"))
    text = comment([Plan(stack="test", changes=many, unchanged=0, source="x")])
    assert "`short`" in text
    assert f"({LIMIT:,} characters)" in text


def test_problems_that_are_not_shown_are_counted() -> None:
    assert "- ⚠ … and 5 more\n\n" in page.page([_one(problems=tuple(f"error {n}" for n in range(25)))])


def test_a_property_is_compared_once_however_often_the_page_is_made() -> None:
    compare.cache_clear()
    change = ResourceChange(
        op=Op.UPDATE,
        urn="urn:pulumi:test::petpark::aws:ec2/instance:Instance::one",
        properties=tuple(PropertyChange(path=f"p{n}", before="a" * 5_000, after=f"{n}") for n in range(30)),
    )
    comment([Plan(stack="test", changes=(change,), unchanged=0, source="x")], limit=900)
    assert compare.cache_info().misses == 30


def _one(*, op: Op = Op.UPDATE, name: str = "one", before: str | None = "a", after: str = "b", **facts: Any) -> Plan:
    change = ResourceChange(
        op=op,
        urn=f"urn:pulumi:test::petpark::aws:ec2/instance:Instance::{name}",
        properties=(PropertyChange(path="p", before=before, after=after),),
    )
    return Plan(stack="test", changes=(change,), unchanged=0, source="x", **facts)
