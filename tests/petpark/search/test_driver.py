"""The driver of a study against a cloud of instances that exists in this file only: crashes, budgets, halving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petpark.errors import BudgetTooSmall, NoCapacity, QuotaReached
from petpark.search.driver import Driver
from petpark.search.records import MOST_LAUNCHES, Records, listed, reservation
from petpark.search.request import create
from petpark.search.table import State, Table
from registry import layout
from registry.errors import ObjectExists, StoreUnavailable
from registry.store.memory_store import MemoryStore
from registry.store.object_store import ObjectStore
from tests.examples import examples
from tests.petpark.conftest import ACCOUNT
from tests.registry.faulty_store import CUTS, Crashed, Fault, FaultyStore, Plan, at_random, only_at
from training.hyper_parameters import HyperParameters
from training.job import JobResult, JobSpec, find_result, load_spec, written
from training.search.budget import Budget
from training.search.choice import Answers
from training.search.space import Space
from training.search.study import Cancellation, Study

RATES = ("0.001", "0.002", "0.003", "0.004")
STUDY = Study(
    spec=JobSpec(
        dataset="d" * 64,
        seed=3,
        requested_by=f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/alice",
        hyper_parameters=HyperParameters(epochs=9),
        max_seconds=3000,
    ),
    space=Space(grid=(f"learning_rate={','.join(RATES)}",)),
    trials=4,
    metric="balanced_accuracy",
    rungs=1,
    parallel=2,
    budget=Budget(),
    created_at="2026-08-02T10:15:00.000000Z",
)


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of an instance: after how many seconds, and how. `lost`: it ends without a result."""

    seconds: float = 1000
    lost: bool = False
    error: str | None = None


@dataclass
class Instance:
    """One that was started; `until` is None while it is at work."""

    job: str
    since: datetime
    fate: Fate
    until: datetime | None = None


@dataclass
class Cloud:
    """Instances by their tokens, and a clock that continues only while somebody waits."""

    fate: Callable[[str, int], Fate] = lambda _job, _attempt: Fate()
    capacity: Callable[[int], bool] = lambda _call: True
    dies: Callable[[str], bool] = lambda _when: False  # whether the driver dies "before" or "after" a launch
    now: datetime = datetime(2026, 8, 2, 10, 15, tzinfo=UTC)
    instances: dict[str, Instance] = field(default_factory=dict[str, Instance])
    poll: float = 50
    calls: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.store = MemoryStore(clock=lambda: self.now)

    def launch(self, job: str, token: str) -> None:
        self.calls += 1
        if self.dies("before"):
            raise Crashed(token)
        if not self.capacity(self.calls):
            raise NoCapacity("none left", next_step="")
        if token not in self.instances:
            load_spec(self.store, job)  # an instance without a job would be of no use
            attempt = sum(one.job == job for one in self.instances.values())
            self.instances[token] = Instance(job, self.now, self.fate(job, attempt))
        at_work = sum(one.until is None for one in self.instances.values())
        self.most_at_once = max(self.most_at_once, at_work)
        if self.dies("after"):
            raise Crashed(token)

    def alive(self, study: str) -> Mapping[str, bool]:
        return {token: one.until is None for token, one in self.instances.items() if token.startswith(study)}

    def end(self, study: str, token: str) -> bool:
        self.instances[token].until = self.now
        return True

    def wait(self, seconds: float) -> None:
        until = self.now + timedelta(seconds=seconds)
        due = [(one.since + timedelta(seconds=one.fate.seconds), one) for one in self.instances.values()]
        for end, one in sorted(due, key=lambda both: both[0]):
            if one.until is None and end <= until:
                self.now = one.until = end
                if not one.fate.lost:
                    finish(self.store, one.job, one.fate.error)
        self.now = until

    def driver(self, name: str, store: ObjectStore | None = None) -> Driver:
        return Driver(
            store=store or self.store,
            name=name,
            machines=self,
            poll=self.poll,
            pause=self.wait,
            clock=lambda: self.now.timestamp(),
        )

    def hours(self) -> float:
        """What all instances really took."""
        return sum(((one.until or self.now) - one.since).total_seconds() for one in self.instances.values()) / 3600

    def jobs(self) -> list[str]:
        return [one.job for one in self.instances.values()]


def finish(store: ObjectStore, job: str, error: str | None) -> None:
    """Write what a trial leaves behind: the higher the rate, and the more epochs, the better."""
    recipe = load_spec(store, job).hyper_parameters
    wrong = max(0, 12 - round(recipe.learning_rate * 2000) - recipe.epochs // 3)
    truth = (0,) * 20 + (1,) * 20
    answers = Answers(labels=("cat", "dog"), truth=truth, answered=(1,) * wrong + truth[wrong:])
    if error is None:
        store.create(layout.validation_key(job), answers.to_json())
        result = JobResult(job=job, status="succeeded", metrics=answers.metrics(), seconds=900)
    else:
        result = JobResult(job=job, status="failed", error=error, message="it was too much")
    store.create(layout.job_result_key(job), result.to_json())


def begin(cloud: Cloud, study: Study = STUDY) -> str:
    return create(cloud.store, study)


def states(table: Table) -> list[str]:
    return [str(row.state) for row in table.rows]


def test_all_trials_are_run_so_many_at_once_and_the_best_is_found() -> None:
    cloud = Cloud()
    name = begin(cloud)
    table = cloud.driver(name).drive()
    assert states(table) == ["succeeded"] * 4
    assert cloud.jobs() == [layout.trial_job(name, number) for number in range(1, 5)]
    assert cloud.most_at_once == 2
    assert (table.best, table.second, table.outcome) == (4, 3, "all trials ended")
    assert table.row(4).settings == {"learning_rate": "0.004"}
    assert table.luck is not None
    assert 0.05 < table.luck <= 1
    assert [row.seconds for row in table.rows] == [1000] * 4
    assert [one.name for one in listed(cloud.store, 5)] == [name]


def test_a_study_that_has_ended_is_read_not_run_even_when_its_jobs_are_gone() -> None:
    cloud = Cloud()
    name = begin(cloud)
    table = cloud.driver(name).drive()
    for key in list(cloud.store.keys(layout.JOBS)):
        cloud.store.delete(key)
    assert cloud.driver(name).drive() == table
    assert Table.from_json(table.to_json()) == table
    assert len(cloud.instances) == 4


def crash_everywhere() -> list[tuple[int, Fault]]:
    cloud = Cloud(poll=500)
    store = FaultyStore(cloud.store, lambda _call: None)
    cloud.driver(begin(cloud), store).drive()
    return [(call, fault) for call in range(store.calls) for fault in CUTS]


def test_a_driver_that_dies_at_any_call_of_the_store_never_launches_a_trial_twice() -> None:
    undisturbed = Cloud(poll=500)
    name = begin(undisturbed)
    wanted = undisturbed.driver(name).drive()
    points = crash_everywhere()
    assert len(points) > 100
    for call, fault in points:
        cloud = Cloud(poll=500)
        name = begin(cloud)
        with pytest.raises(Crashed):
            cloud.driver(name, FaultyStore(cloud.store, only_at(call, fault))).drive()
        cloud.wait(20)
        table = cloud.driver(name).drive()
        assert sorted(cloud.jobs()) == [layout.trial_job(name, number) for number in range(1, 5)], (call, fault)
        assert cloud.most_at_once == 2
        assert [(row.trial, row.state, row.value) for row in table.rows] == [
            (row.trial, row.state, row.value) for row in wanted.rows
        ]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_driver_that_dies_around_a_launch_finds_the_same_instance_again(when: str) -> None:
    for death in range(1, 5):
        cloud = Cloud()
        cloud.dies = lambda now, death=death, cloud=cloud: now == when and cloud.calls == death
        name = begin(cloud)
        with pytest.raises(Crashed):
            cloud.driver(name).drive()
        cloud.wait(20)
        assert states(cloud.driver(name).drive()) == ["succeeded"] * 4
        assert len(cloud.instances) == 4


def test_a_launch_that_the_cloud_has_forgotten_counts_as_one_that_ended() -> None:
    """Its instance is not requested again under the old number: the cloud might start a second one for it."""
    cloud = Cloud()
    cloud.dies = lambda now: now == "before" and cloud.calls == 1
    name = begin(cloud, replace(STUDY, trials=1))
    with pytest.raises(Crashed):
        cloud.driver(name).drive()
    cloud.wait(3600)
    table = cloud.driver(name).drive()
    assert list(cloud.instances) == [layout.launch_token(name, 2)]
    assert (table.rows[0].state, table.rows[0].launches) == (State.SUCCEEDED, 2)
    assert table.seconds == reservation(STUDY) + 1000, "what may have run is counted as if it had"


def test_two_drivers_at_once_launch_every_trial_once() -> None:
    """The other acts while this one waits for the store, at every call."""
    for call in range(0, 30, 2):
        cloud = Cloud(poll=500)
        name = begin(cloud)
        other = cloud.driver(name)
        slow = FaultyStore(cloud.store, only_at(call, Fault.SLOW), meanwhile=other.drive)
        table = cloud.driver(name, slow).drive()
        assert sorted(cloud.jobs()) == [layout.trial_job(name, number) for number in range(1, 5)], call
        assert states(table) == ["succeeded"] * 4


FATES = st.builds(
    Fate,
    seconds=st.floats(1, reservation(STUDY) - 100),
    lost=st.booleans(),
    error=st.sampled_from([None, None, "LossNotFinite"]),
)


@settings(max_examples=examples(40))
@given(
    fates=st.lists(FATES, min_size=1, max_size=12),
    hours=st.floats(1.0, 6.0),
    usd=st.none() | st.floats(0.7, 3.0),
    rungs=st.sampled_from([1, 2]),
    crashes=st.lists(st.integers(0, 120), max_size=3),
)
def test_a_budget_is_never_exceeded_whatever_becomes_of_instances_and_drivers(
    fates: list[Fate], hours: float, usd: float | None, rungs: int, crashes: list[int]
) -> None:
    budget = Budget(max_hours=hours, max_usd=usd, usd_per_hour=None if usd is None else 0.7)
    cloud = Cloud(poll=90)
    cloud.fate = lambda _job, _attempt: fates[len(cloud.instances) % len(fates)]
    name = begin(cloud, replace(STUDY, budget=budget, rungs=rungs))
    for call in crashes:
        try:
            cloud.driver(name, FaultyStore(cloud.store, only_at(call, Fault.CRASH_AFTER))).drive()
        except Crashed:
            cloud.wait(30)
    table = cloud.driver(name).drive()
    assert cloud.hours() <= table.seconds / 3600 + 1e-6, "what was counted is no less than what was taken"
    assert table.seconds / 3600 <= hours + 1e-6
    assert usd is None or (table.usd or 0) <= usd + 1e-6
    assert cloud.most_at_once <= STUDY.parallel
    tried = {one.job for one in cloud.instances.values()}
    left = [row for row in table.rows if row.state in (State.WAITING, State.INTERRUPTED)]
    assert all(row.state is not State.WAITING or row.job not in tried for row in table.rows)
    assert (table.outcome == "all trials ended") == (not left)


def test_a_budget_that_is_used_up_ends_with_what_was_not_tried() -> None:
    cloud = Cloud()
    name = begin(cloud, replace(STUDY, parallel=1, budget=Budget(max_hours=1.5)))
    table = cloud.driver(name).drive()
    assert states(table) == ["succeeded", "succeeded", "waiting", "waiting"]
    assert table.outcome == (
        "the budget is used up: 2 of 4 trials did not end (3, 4), and one more may take 1.00 hours"
    )
    assert table.best == 2


def test_a_budget_that_allows_no_trial_is_refused_before_anything_is_stored() -> None:
    cloud = Cloud()
    with pytest.raises(BudgetTooSmall, match=r"1\.00 hours"):
        begin(cloud, replace(STUDY, budget=Budget(max_hours=0.9)))
    assert list(cloud.store.keys("")) == []


def test_failed_trials_are_rows_with_their_reason() -> None:
    cloud = Cloud(fate=lambda job, _attempt: Fate(error="OutOfMemory" if job.endswith("4") else None))
    table = cloud.driver(begin(cloud)).drive()
    assert states(table) == ["succeeded", "succeeded", "succeeded", "failed"]
    assert (table.row(4).error, table.row(4).message, table.best) == ("OutOfMemory", "it was too much", 3)


def test_an_interrupted_trial_goes_on_before_others_begin() -> None:
    cloud = Cloud(fate=lambda job, attempt: Fate(lost=job.endswith("1") and attempt == 0, seconds=400))
    name = begin(cloud, replace(STUDY, parallel=1))
    table = cloud.driver(name).drive()
    assert [job[-1] for job in cloud.jobs()] == ["1", "1", "2", "3", "4"]
    assert (table.row(1).launches, table.row(1).state) == (2, State.SUCCEEDED)
    assert 800 <= table.row(1).seconds <= 900


def test_a_trial_whose_instances_always_end_is_given_up() -> None:
    cloud = Cloud(fate=lambda job, _attempt: Fate(lost=job.endswith("2"), seconds=100))
    table = cloud.driver(begin(cloud)).drive()
    assert (table.row(2).state, table.row(2).error) == (State.FAILED, "InstancesLost")
    assert table.row(2).launches == MOST_LAUNCHES


def test_an_instance_that_outlives_its_time_is_ended() -> None:
    cloud = Cloud(fate=lambda job, attempt: Fate(seconds=10**6 if job.endswith("1") and attempt == 0 else 100))
    told: list[str] = []
    name = begin(cloud, replace(STUDY, parallel=1))
    driver = cloud.driver(name)
    driver.tell = told.append
    driver.drive()
    first = cloud.instances[layout.launch_token(name, 1)]
    assert first.until is not None
    assert (first.until - first.since).total_seconds() <= reservation(STUDY) + 100
    assert [said for said in told if "used up its time" in said] == [
        "trial 1 has used up its time: its instance is ended"
    ]


def test_without_capacity_what_runs_is_awaited_and_the_study_goes_on_later() -> None:
    cloud = Cloud(capacity=lambda call: call != 2)
    name = begin(cloud)
    with pytest.raises(NoCapacity) as full:
        cloud.driver(name).drive()
    assert full.value.next_step == f"Try again later: petpark search resume {name}"
    look = Records(cloud.store, name, lambda: cloud.now.timestamp()).look(cloud.alive(name))
    assert [look.state(number) for number in (1, 2)] == [State.SUCCEEDED, State.WAITING]
    table = cloud.driver(name).drive()
    assert states(table) == ["succeeded"] * 4
    assert table.seconds == 4000, "a refused launch cost nothing"


def test_a_quota_that_stops_a_study_is_named_with_the_studys_own_next_step() -> None:
    class Limited(Cloud):
        def launch(self, job: str, token: str) -> None:
            raise QuotaReached("none left", next_step="petpark train --resume j", quotas=["All G Requests"])

    cloud = Limited()
    name = begin(cloud)
    with pytest.raises(QuotaReached) as reached:
        cloud.driver(name).drive()
    assert "'All G Requests'" in reached.value.next_step
    assert reached.value.next_step.endswith(f"petpark search resume {name}")
    assert (reached.value.facts["study"], reached.value.facts["quotas"]) == (name, ["All G Requests"])


def test_halving_trains_the_best_longer() -> None:
    cloud = Cloud()
    table = cloud.driver(begin(cloud, replace(STUDY, rungs=2))).drive()
    assert [(row.rung, row.epochs, row.parent) for row in table.rows] == [
        *[(1, 3, None)] * 4,
        (2, 9, 4),
        (2, 9, 3),
    ]
    assert table.best == 5


@pytest.mark.parametrize("seed", range(6))
def test_a_store_that_fails_now_and_then_only_delays_a_study(seed: int) -> None:
    cloud = Cloud()
    name = begin(cloud, replace(STUDY, rungs=2))
    plan: Plan = at_random(seed, 0.05, (Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.TAKEN, Fault.UNAVAILABLE))
    store = FaultyStore(cloud.store, plan)
    for _ in range(100):
        try:
            table = cloud.driver(name, store).drive()
            break
        except StoreUnavailable:
            cloud.wait(10)
    else:
        pytest.fail("it never ended")
    assert states(table) == ["succeeded"] * 6
    assert len(cloud.instances) == 6


def cancel(cloud: Cloud, name: str) -> Table:
    by = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/bob"
    body = written(Cancellation(by=by, why="wrong dataset", at="2026-08-02T11:00:00.000000Z"))
    with suppress(ObjectExists):
        cloud.store.create(layout.cancelled_key(name), body)
    return cloud.driver(name).drive()


@pytest.mark.parametrize("dies", [False, True], ids=["the driver lives on", "the driver dies after a launch"])
def test_a_study_that_is_cancelled_at_any_call_of_its_driver_ends_with_nothing_at_work(dies: bool) -> None:
    """An instance that the driver started too late to be ended finds its job's result when it boots."""
    whole = Cloud(poll=500)
    calls = FaultyStore(whole.store, lambda _call: None)
    whole.driver(begin(whole), calls).drive()
    seen = set[str]()
    for call in range(calls.calls):
        cloud = Cloud(poll=500)
        name = begin(cloud)
        ended: list[int] = []

        def meanwhile(cloud: Cloud = cloud, name: str = name, ended: list[int] = ended) -> None:
            cancel(cloud, name)
            ended.append(len(cloud.instances))
            if dies:
                cloud.dies = lambda when: when == "after"

        with suppress(Crashed):
            table = cloud.driver(name, FaultyStore(cloud.store, only_at(call, Fault.SLOW), meanwhile=meanwhile)).drive()
            assert not any(cloud.alive(name).values()), call
            assert table == cancel(cloud, name)
            seen |= set(states(table))
        for one in cloud.instances.values():
            assert one.until is not None or find_result(cloud.store, one.job) is not None, call
        assert len(cloud.instances) <= ended[0] + 1, "at most the launch that was under way"
    assert seen == {"succeeded", "cancelled", "waiting"}


def test_a_cancelled_study_says_so_to_every_driver_and_launches_nothing_more() -> None:
    cloud = Cloud()
    name = begin(cloud)
    cloud.dies = lambda when: when == "after" and cloud.calls == 2
    with pytest.raises(Crashed):
        cloud.driver(name).drive()
    cloud.dies = lambda _when: False
    table = cancel(cloud, name)
    assert states(table) == ["cancelled", "cancelled", "waiting", "waiting"]
    assert (table.outcome, table.best) == ("cancelled by bob: wrong dataset", None)
    assert not any(cloud.alive(name).values())
    assert cloud.driver(name).drive() == table == cancel(cloud, name)
    assert len(cloud.instances) == 2
    assert [one.outcome for one in listed(cloud.store, 5)] == [table.outcome]


def test_to_cancel_a_rung_of_a_halving_study_begins_no_other() -> None:
    cloud = Cloud(fate=lambda _job, _attempt: Fate(seconds=10**6))
    name = begin(cloud, replace(STUDY, parallel=4, rungs=2))
    cloud.dies = lambda when: when == "after" and cloud.calls == 4
    with pytest.raises(Crashed):
        cloud.driver(name).drive()
    assert states(cancel(cloud, name)) == ["cancelled"] * 4
