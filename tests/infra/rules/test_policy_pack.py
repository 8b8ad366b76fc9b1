"""The policies of the pack, called in this process; `test_crossguard.py` runs the pack as Pulumi does."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from pulumi_policy import EnforcementLevel, ResourceValidationPolicy, StackValidationPolicy
from pulumi_policy.proxy import UnknownValueError

from infra.crossguard.policies import policies
from infra.rules import RULES, UNKNOWN, check
from tests.infra.conftest import HOST, ROOT


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    for stack, more in (("test", {}), ("prod", HOST)):
        settings = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
        (root / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": settings["config"] | more}))
    return {policy.name: policy for policy in policies(root)}


def told(one):
    """A resource as the engine tells it."""
    refers = {name: [SimpleNamespace(urn=urn) for urn in urns] for name, urns in one.refers.items()}
    return SimpleNamespace(
        resource_type=one.type,
        name=one.name,
        urn=one.urn,
        props=one.properties,
        opts=SimpleNamespace(protect=one.protect),
        property_dependencies=refers,
    )


def said_by(policy, args) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    with contextlib.suppress(UnknownValueError):  # comes after all that is decided
        policy.validate(args, lambda message, urn=None: found.append((message, urn)))
    return found


def test_a_rule_that_one_resource_decides_is_asked_before_that_is_created_and_any_other_at_the_end(pack):
    kinds = {
        rule.name: ResourceValidationPolicy if rule.each and rule.alone else StackValidationPolicy for rule in RULES
    }
    assert {name: type(policy) for name, policy in pack.items()} == kinds
    assert set(kinds.values()) == {ResourceValidationPolicy, StackValidationPolicy}


def test_a_policy_says_what_its_rule_demands_by_which_page(pack):
    for rule in RULES:
        policy = pack[rule.name]
        assert policy.description == f"{rule.demands} See {rule.source}"
        assert policy.enforcement_level is EnforcementLevel(rule.severity)
        assert policy.url == rule.source


@pytest.mark.parametrize("stack", ["test", "prod"])
def test_policies_find_exactly_what_the_rules_find_in_resources_without_their_own_values(pack, judged, stack):
    """Every resource loses its inputs, so that most rules have something to say; limits are those of the stack."""
    stripped = tuple(replace(one, properties={}, retain=None) for one in judged[stack].resources)
    ruled = [one for one in check(stripped, judged[stack].limits) if one.decided]
    expected = {(one.rule.name, one.message, one.urn or None) for one in ruled}
    found: set[tuple[str, str, str | None]] = set()
    for name, policy in pack.items():
        if isinstance(policy, StackValidationPolicy):
            each = [SimpleNamespace(resources=[told(one) for one in stripped])]
        else:
            each = [told(one) for one in stripped]
        for args in each:
            found |= {(name, message, urn or getattr(args, "urn", None)) for message, urn in said_by(policy, args)}
    assert found == expected
    assert len({name for name, *_ in found}) > 5


def test_what_is_not_decided_is_said_after_every_violation_and_names_its_resource(pack, judged):
    resources = judged["test"].resources
    rule = "public-access-block"
    (closed, *_) = (one for one in resources if one.name == "models-store-closed")
    unknown = told(closed)
    unknown.props = dict.fromkeys(closed.properties, UNKNOWN)
    with pytest.raises(UnknownValueError) as undecided:
        pack[rule].validate(unknown, lambda message, urn=None: None)
    assert undecided.value.message.startswith("models-store-closed: ")


def test_a_stack_without_resources_violates_nothing(pack):
    for policy in pack.values():
        if isinstance(policy, StackValidationPolicy):
            assert said_by(policy, SimpleNamespace(resources=[])) == []
