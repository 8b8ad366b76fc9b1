"""From a need to instance types: what is offered satisfies it, and nothing cheaper is left out."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration.prices import PriceUnknown, load
from infra.instances.picking import EXAMPLE, Need, NeedUnclear, parse_need, pick

TABLE = load()
REGIONS = sorted(TABLE.regions)

needs = st.builds(
    Need,
    gpu_memory_gb=st.none() | st.sampled_from([16.0, 24.0, 24.5, 40.0, 80.0, 141.0, 500.0]),
    gpus=st.none() | st.integers(1, 9),
    vcpus=st.none() | st.integers(1, 256),
    memory_gb=st.none() | st.floats(0.5, 4096),
    usd_hour=st.none() | st.floats(0.005, 100),
    architecture=st.none() | st.sampled_from(["x86_64", "arm64"]),
)


def satisfies(need, name, region):
    """The rule once more, by hand."""
    facts, usd = TABLE.types[name], TABLE.regions[region].instances.usd[name]
    return (
        facts.gpu_memory_gb >= (need.gpu_memory_gb or 0)
        and facts.gpus >= (need.gpus or 0)
        and facts.vcpus >= (need.vcpus or 0)
        and facts.memory_gb >= (need.memory_gb or 0)
        and (need.usd_hour is None or usd <= need.usd_hour)
        and (need.architecture is None or facts.architecture == need.architecture)
    )


@given(needs, st.sampled_from(REGIONS))
def test_exactly_the_types_that_satisfy_the_need_are_offered_cheapest_first(need, region):
    found = pick(need, TABLE, region=region).choices
    usd = TABLE.regions[region].instances.usd
    assert {each.name for each in found} == {name for name in usd if satisfies(need, name, region)}
    assert [each.usd_hour for each in found] == sorted(each.usd_hour for each in found)
    assert all(each.usd_hour == usd[each.name] for each in found)


@given(needs, needs, st.sampled_from(REGIONS))
def test_a_tighter_need_never_adds_a_type(need, other, region):
    def tighter(name, choose):
        both = [value for value in (getattr(need, name), getattr(other, name)) if value is not None]
        return choose(both) if both else None

    tight = Need(
        **{name: tighter(name, max) for name in ("gpu_memory_gb", "gpus", "vcpus", "memory_gb")},
        usd_hour=tighter("usd_hour", min),
        architecture=need.architecture or other.architecture,
    )
    wide = {each.name for each in pick(need, TABLE, region=region).choices}
    assert {each.name for each in pick(tight, TABLE, region=region).choices} <= wide


@given(needs, st.sampled_from(REGIONS))
def test_the_nearest_misses_are_named_with_reasons_if_nothing_satisfies_the_need_and_only_then(need, region):
    found = pick(need, TABLE, region=region)
    assert bool(found.choices) != bool(found.misses)
    for miss in found.misses:
        assert miss.reasons
        assert not satisfies(need, miss.name, region)
    fewest = [len(miss.reasons) for miss in found.misses]
    assert fewest == sorted(fewest)


def test_a_miss_says_by_how_much():
    need = Need(gpu_memory_gb=24, vcpus=8, usd_hour=0.5)
    (first, *_) = pick(need, TABLE, region="us-east-1").misses
    assert first.name == "g6.2xlarge"
    assert first.reasons == ("costs 0.9776 USD/h, not 0.5",)


def test_a_region_without_prices_is_named():
    with pytest.raises(PriceUnknown, match="sa-east-1"):
        pick(Need(), TABLE, region="sa-east-1")


def test_the_example_of_the_documentation_finds_what_it_asks_for():
    names = [each.name for each in pick(parse_need(EXAMPLE), TABLE, region="us-east-1").choices]
    assert names == ["g6.2xlarge", "g5.2xlarge", "g6.4xlarge"]


PARTS = {
    "gpu_memory_gb": "{} GB of GPU memory",
    "gpus": "{} GPUs",
    "vcpus": "{} vCPU",
    "memory_gb": "{} GB of memory",
    "usd_hour": "at most {} USD/h",
    "architecture": "{}",
}
stated = st.fixed_dictionaries(
    {},
    optional={
        "gpu_memory_gb": st.integers(1, 9999),
        "gpus": st.integers(1, 999),
        "vcpus": st.integers(1, 9999),
        "memory_gb": st.decimals(1, 9999, places=2).map(float),
        "usd_hour": st.decimals(1, 999, places=3).map(float),
        "architecture": st.sampled_from(["x86_64", "arm64"]),
    },
).filter(bool)


@given(stated, st.randoms())
def test_a_need_is_read_whatever_the_order_of_its_parts(values, random):
    parts = [PARTS[name].format(value) for name, value in values.items()]
    random.shuffle(parts)
    assert parse_need(", ".join(parts)) == dataclasses.replace(Need(), **values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not understood"),
        ("8 vCPU,", "'' is not understood"),
        ("8 cpus", "'8 cpus' is not understood"),
        ("24 GB", "'24 GB' is not understood"),
        ("-1 vCPU", "'-1 vCPU' is not understood"),
        ("8.5 vCPU", "'8.5 vCPU' is not understood"),
        ("1e3 vCPU", "'1e3 vCPU' is not understood"),
        ("٨ vCPU", "'٨ vCPU' is not understood"),
        ("1.5 USD/h", "'1.5 USD/h' is not understood"),
        ("0 vCPU", "'0 vCPU' requires nothing"),
        ("8 vCPU, 4 vCPU", "'4 vCPU' states again"),
        ("x86_64, arm64", "'arm64' states again"),
    ],
)
def test_what_is_no_need_is_one_sentence_about_the_part(text, said):
    with pytest.raises(NeedUnclear, match=re.escape(said)):
        parse_need(text)
