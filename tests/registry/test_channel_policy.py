"""A channel's rule, as a stack's configuration says it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.channel_policy import STRICT, ChannelPolicy, ChannelPolicyInvalid, comparable

POLICIES = st.builds(
    ChannelPolicy,
    certificate=st.just(value=True),
    two_people=st.booleans(),
    metric=st.none() | st.sampled_from(["accuracy", "recall_dog", "recall_red-panda", "recall_Bär"]),
    gates=st.booleans(),
    movers=st.lists(st.from_regex(r"[a-z]{2,5}(@park\.es)?", fullmatch=True), max_size=3).map(tuple),
)


@given(POLICIES)
def test_a_policy_survives_the_way_through_configuration_and_outputs(policy: ChannelPolicy) -> None:
    assert ChannelPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"certificate": "true"}, "certificate"),
        ({"two_people": 1}, "two_people"),
        ({"gates": "yes"}, "gates"),
        ({"metric": None}, "metric"),
        ({"metric": "Accuracy!"}, "metric"),
        ({"movers": "mia"}, "movers"),
        ({"movers": ["*"]}, "movers"),
        ({"movers": ["m"]}, "movers"),
        ({"movers": [3]}, "movers"),
        ({"certificate": False}, "two_people"),
        ({"who": "mia"}, "who"),
    ],
)
def test_a_policy_that_cannot_be_says_which_key(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ChannelPolicyInvalid, match=said):
        ChannelPolicy.from_dict({**STRICT.to_dict(), **change})


def test_no_key_may_be_left_out() -> None:
    for key in STRICT.to_dict():
        values = STRICT.to_dict()
        del values[key]
        with pytest.raises(ChannelPolicyInvalid, match=key):
            ChannelPolicy.from_dict(values)


@pytest.mark.parametrize(
    ("metric", "may"),
    [
        ("accuracy", True), ("balanced_accuracy_low", True), ("consistency", True), ("recall_dog", True),
        ("auroc_Bär", True), ("unseen_accuracy_low_cat", True), ("recall_", False), ("loss", False), ("", False),
        ("accuracy_high", False), ("xaccuracy", False), ("calibration_error", False),
    ],
)  # fmt: skip
def test_only_what_every_training_measures_and_is_better_the_higher_can_be_compared(metric: str, may: bool) -> None:
    assert comparable(metric) is may
