"""Plans of `make chaos`: repeatable, complete, and such that every run can end well."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.plan import (
    EPOCHS,
    INTERRUPTING,
    MOST_INTERRUPTIONS,
    OF_PIPELINES,
    OF_STAGES,
    Fault,
    Kind,
    Moment,
    draw,
)

SEEDS = st.integers(0, 2**32)
NUMBERS = st.integers(1, 500)


@given(SEEDS, NUMBERS)
def test_the_same_seed_and_number_are_the_same_plan(seed: int, number: int) -> None:
    assert draw(seed, number) == draw(seed, number)
    assert str(draw(seed, number)) == str(draw(seed, number))


@given(SEEDS, st.integers(0, 20))
def test_every_fault_comes_within_as_many_runs_as_there_are_faults(seed: int, block: int) -> None:
    first = block * len(Fault) + 1
    plans = [draw(seed, number) for number in range(first, first + len(Fault))]
    assert frozenset[Fault]().union(*(plan.faults for plan in plans)) == set(Fault)


@given(SEEDS, NUMBERS)
def test_every_plan_can_succeed(seed: int, number: int) -> None:
    plan = draw(seed, number)
    assert sum(each.fault in INTERRUPTING for each in plan.injections) <= MOST_INTERRUPTIONS
    if plan.kind is Kind.JOB:
        assert not plan.faults & OF_PIPELINES
    for each in plan.injections:
        assert (each.stage is not None) == (each.fault in OF_STAGES)
        assert (each.epoch > 0) == (each.moment in (Moment.EPOCH, Moment.CHECKPOINT))
        assert each.epoch < EPOCHS, "another epoch follows, which may be lost"


@given(SEEDS)
def test_other_seeds_are_other_plans(seed: int) -> None:
    def plans(of: int) -> list[str]:
        return [str(draw(of, number)) for number in range(1, 31)]

    assert plans(seed) != plans(seed + 1)
