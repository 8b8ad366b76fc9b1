"""What a study may try: grids, draws, and what is refused before anything is launched."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from training.errors import SpecMalformed
from training.hyper_parameters import ARCHITECTURES, HyperParameters
from training.networks.model import ARCHITECTURES as BUILT
from training.search.space import Range, Space, as_settings

RECIPE = HyperParameters()
SEED = st.integers(0, 10**6)
NUMBER = st.integers(1, 10**4)


@given(SEED, NUMBER)
def test_a_draw_is_a_function_of_seed_number_and_name_and_lies_in_the_space(seed: int, number: int) -> None:
    random = ("learning_rate=log:1e-4..1e-2", "mixup=0..0.4", "image_size=32..64", "architecture=resnet8,resnet10")
    drawn = Space(random=random).draw(number, seed=seed)
    assert drawn == Space(random=random).draw(number, seed=seed)
    alone = Space(random=random[1:2]).draw(number, seed=seed)
    assert alone["mixup"] == drawn["mixup"], "what else is searched does not matter"
    assert 1e-4 <= float(drawn["learning_rate"]) <= 1e-2
    assert 0 <= float(drawn["mixup"]) <= 0.4
    assert 32 <= int(drawn["image_size"]) <= 64
    assert drawn["architecture"] in ("resnet8", "resnet10")
    RECIPE.with_settings(as_settings(drawn))


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_rounding_never_leaves_a_range(low: float, more: float, log: bool, place: float) -> None:
    high = low + more
    assert low <= float(Range(low=low, high=high, log=log, whole=False).at(place)) <= high


@given(st.integers(1, 50), st.integers(0, 50), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_whole_numbers_reach_both_ends(low: int, more: int, log: bool, place: float) -> None:
    whole = Range(low=low, high=low + more, log=log, whole=True)
    assert low <= int(whole.at(place)) <= low + more
    assert (int(whole.at(0.0)), int(whole.at(math.nextafter(1, 0)))) == (low, low + more)


@settings(max_examples=examples(40))
@given(SEED, st.integers(1, 12), st.integers(0, 12))
def test_more_trials_begin_with_the_same_and_none_is_tried_twice(seed: int, few: int, more: int) -> None:
    space = Space(grid=("blur=0,0.1",), random=("greyscale=0,0.1,0.2,0.30,0.3",))
    longer = space.trials(few + more, seed=seed, recipe=RECIPE)
    assert longer[:few] == space.trials(few, seed=seed, recipe=RECIPE)
    recipes = [RECIPE.with_settings(as_settings(values)) for values in longer]
    assert len(set(recipes)) == len(recipes) == min(few + more, 8), "two values are one number"


def test_draws_by_logarithm_are_as_many_in_each_order_of_magnitude() -> None:
    space = Space(random=("learning_rate=log:1e-4..1e-2",))
    small = sum(float(space.draw(number, seed=3)["learning_rate"]) < 1e-3 for number in range(1, 1001))
    assert 430 < small < 570


def test_a_grid_is_every_combination_in_order() -> None:
    space = Space(grid=("learning_rate=0.001,0.003", "image_size=48,64"))
    assert space.combinations == 4
    assert space.trials(9, seed=0, recipe=RECIPE) == [
        {"learning_rate": "0.001", "image_size": "48"},
        {"learning_rate": "0.001", "image_size": "64"},
        {"learning_rate": "0.003", "image_size": "48"},
        {"learning_rate": "0.003", "image_size": "64"},
    ]


def test_draws_go_round_a_grid() -> None:
    space = Space(grid=("image_size=48,64",), random=("mixup=0..0.4",))
    assert space.combinations is None
    found = space.trials(4, seed=0, recipe=RECIPE)
    assert [values["image_size"] for values in found] == ["48", "64", "48", "64"]
    assert len({values["mixup"] for values in found}) == 4


@pytest.mark.parametrize(
    ("grid", "random", "expected"),
    [
        ((), (), "nothing to search"),
        (("rate=1,2",), (), "learning_rate"),
        (("learning_rate=0.1,",), (), "lacks a value"),
        (("learning_rate=0.1,fast",), (), "float"),
        (("mixup=0.1",), ("mixup=0..1",), "searched twice"),
        (("greyscale=0,2",), (), "share"),
        ((), ("greyscale=0.5..1.5",), "share"),
        ((), ("learning_rate=0..0.1",), "above 0"),
        ((), ("learning_rate=log:0..0.1",), "logarithm"),
        ((), ("learning_rate=0.1..0.01",), "lower end"),
        ((), ("learning_rate=0.1..nan",), "lower end"),
        ((), ("learning_rate=a..b",), "not a range"),
        ((), ("image_size=32.5..64",), "whole number"),
        ((), ("architecture=a..b",), "not a range"),
        ((), ("architecture=1..2",), "not a number"),
        (("architecture=resnet8,resnet999",), (), "resnet18"),
    ],
)
def test_what_no_training_can_mean_is_refused(grid: tuple[str, ...], random: tuple[str, ...], expected: str) -> None:
    with pytest.raises(SpecMalformed, match=expected):
        Space(grid=grid, random=random).check(RECIPE)


def test_the_names_of_networks_are_those_that_are_built() -> None:
    assert tuple(BUILT) == ARCHITECTURES
