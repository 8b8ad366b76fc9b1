from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.provider.schema import Attribute, Block, NestedBlock, Nesting, canonical, could_be, proposed_new
from rehearsal.engine.values import UNKNOWN


def attribute(kind: object = "string", *, computed: bool = False, optional: bool = True) -> Attribute:
    return Attribute(type=kind, optional=optional, computed=computed)


RULE = Block(
    attributes={"port": attribute("number"), "id": attribute(computed=True, optional=False)},
    blocks={},
)
GROUP = Block(
    attributes={
        "name": attribute(),
        "arn": attribute(computed=True, optional=False),
        "policy": attribute(computed=True),
        "zones": attribute(["set", "string"]),
    },
    blocks={
        "rule": NestedBlock(block=RULE, nesting=Nesting.SET),
        "step": NestedBlock(block=RULE, nesting=Nesting.LIST),
    },
)
ports = st.lists(st.integers(1, 9), unique=True)


def group(**fields: object) -> dict[str, object]:
    return GROUP.empty() | fields


def test_a_new_resource_proposes_what_is_set_and_nothing_else():
    assert proposed_new(GROUP, None, group(name="a")) == group(name="a")


def test_what_the_provider_computed_is_kept_and_what_the_program_sets_wins():
    prior = group(name="a", arn="arn:1", policy="default")

    kept = proposed_new(GROUP, prior, group(name="b"))
    assert (kept["name"], kept["arn"], kept["policy"]) == ("b", "arn:1", "default")
    assert proposed_new(GROUP, prior, group(policy="mine"))["policy"] == "mine"


def test_what_the_program_takes_away_is_proposed_as_absent():
    assert proposed_new(GROUP, group(name="a"), group())["name"] is None


@given(ports, ports, st.randoms())
def test_elements_of_a_set_keep_their_computed_parts_in_any_order(before: list[int], after: list[int], random: Random):
    prior = group(rule=[{"port": port, "id": f"r-{port}"} for port in before])
    random.shuffle(after)

    rules = proposed_new(GROUP, prior, group(rule=[{"port": port, "id": None} for port in after]))["rule"]

    assert rules == [{"port": port, "id": f"r-{port}" if port in before else None} for port in after]


@given(ports, ports)
def test_elements_of_a_list_are_paired_by_their_place(before: list[int], after: list[int]):
    prior = group(step=[{"port": port, "id": f"s-{i}"} for i, port in enumerate(before)])

    steps = proposed_new(GROUP, prior, group(step=[{"port": port, "id": None} for port in after]))["step"]

    assert [step["id"] for step in steps] == [f"s-{i}" if i < len(before) else None for i in range(len(after))]


def test_elements_that_look_alike_keep_one_computed_part_each():
    prior = group(rule=[{"port": 1, "id": "r-a"}, {"port": 1, "id": "r-b"}])
    rules = proposed_new(GROUP, prior, group(rule=[{"port": 1, "id": None}] * 3))["rule"]
    assert [rule["id"] for rule in rules] == ["r-a", "r-b", None]


def test_unknown_blocks_stay_unknown():
    assert proposed_new(GROUP, group(), group(rule=UNKNOWN))["rule"] is UNKNOWN
    assert proposed_new(GROUP, group(), group(rule=[UNKNOWN]))["rule"] == [UNKNOWN]


def test_an_element_does_not_match_one_that_differs_in_what_the_program_set():
    assert could_be(RULE, {"port": 1, "id": "x"}, {"port": 1, "id": None})
    assert not could_be(RULE, {"port": 2, "id": "x"}, {"port": 1, "id": None})


@given(st.lists(st.text()), ports, st.randoms())
def test_equal_states_are_equal_whatever_the_order_of_their_sets(zones: list[str], numbers: list[int], random: Random):
    rules = [{"port": port, "id": None} for port in numbers]
    one = canonical(GROUP, group(zones=list(zones), rule=list(rules)))
    random.shuffle(zones)
    random.shuffle(rules)

    assert canonical(GROUP, group(zones=zones, rule=rules)) == one


def test_the_order_of_a_list_is_kept():
    steps = [{"port": 2, "id": None}, {"port": 1, "id": None}]
    assert canonical(GROUP, group(step=steps))["step"] == steps


def test_repeated_blocks_that_the_provider_leaves_out_are_none_and_not_null():
    left_out = canonical(GROUP, {**group(), "rule": None, "step": None, "zones": None})
    assert (left_out["rule"], left_out["step"], left_out["zones"]) == ([], [], None)
