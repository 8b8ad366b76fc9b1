from infra.rules import RULES
from infra.rules.tags import TAGGABLE
from tests.infra.rules.conftest import as_resource
from tests.infra.test_components import _accepts_tags


def test_neither_stack_violates_a_rule_as_it_is_shipped(judged):
    found = {stack: [finding for finding in one.found() if finding.decided] for stack, one in judged.items()}
    assert found == {"test": [], "prod": []}


def test_of_what_is_shipped_only_a_price_may_be_unknown(judged):
    """The table of prices need not have every type in every region."""
    for one in judged.values():
        assert {finding.rule.name for finding in one.found()} <= {"hourly-cost"}


def test_every_rule_says_what_it_demands_why_and_by_which_page():
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert (rule.each is None) != (rule.whole is None), rule.name
        assert rule.demands.endswith("."), rule.name
        assert rule.why.endswith("."), rule.name
        assert rule.source.startswith(
            ("https://docs.aws.amazon.com/", "https://aws.amazon.com/", "https://www.pulumi.com/")
        )


def test_the_kinds_that_take_tags_are_those_of_the_sdk(everything):
    kinds = {as_resource(one).kind: _accepts_tags(one.type) for one in everything if one.type.startswith("aws:")}
    assert {kind for kind, takes_tags in kinds.items() if takes_tags} == TAGGABLE
