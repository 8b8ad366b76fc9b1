"""Attempts at a job against a state machine in memory, with lost requests and lost responses."""

import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from petpark.worker.attempt import Stop, run_attempt
from petpark.worker.endings import FAILED, INTERRUPTED, SUCCEEDED, UNUSABLE, Ending, Error, of_result
from petpark.worker.order import Order, OrderMissing
from registry.errors import StoreUnavailable
from registry.layout.jobs import job_result_key
from tests.petpark.worker.machine import JOB, Machine, order
from training.errors import Interrupted, TookTooLong
from training.job import JobResult, store_result

DONE = JobResult(job=JOB, status="succeeded", version=3, outcome="published")


def done(machine: Machine):
    return lambda _order, _stop: of_result(store_result(machine.store, DONE))


def test_a_job_that_is_done_is_answered_with_where_its_result_is():
    machine = Machine().begin(order())
    assert run_attempt(machine.attempt(), done(machine)) == SUCCEEDED
    assert machine.answers == [
        ("boot", "success", {"instance": "i-1"}),
        ("run", "success", {"result": f"jobs/{JOB}/result.json"}),
    ]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["", "lost", "down"]), max_size=8), st.sampled_from([None, *Error]))
@example(["lost"], None)
@example(["", "", "lost"], None)
@example(["down"] * 8, None)
def test_whatever_calls_are_lost_the_machine_has_one_answer_and_it_is_the_end(faults: list[str], error: Error | None):
    machine = Machine(faults=faults).begin(order())
    ending = Ending(job=JOB, error=error, cause="why")
    status = run_attempt(machine.attempt(heartbeat=60.0), lambda _order, _stop: ending)
    assert machine.waited_for == set()
    assert [what for token, what, _ in machine.answers if token == "run"] == [error or "success"]
    assert status == ending.status


def test_a_role_that_may_not_send_the_result_logs_the_reason_and_does_not_retry():
    machine = Machine(faults=["", "", "denied"]).begin(order())
    assert run_attempt(machine.attempt(heartbeat=6000.0), done(machine)) == SUCCEEDED
    assert machine.logged[-2:] == ["ended", "denied"]
    assert machine.at == 0, "it did not wait"


def test_a_worker_whose_budget_is_spent_stops_with_the_reason():
    machine = Machine(seconds=600).begin(order(max_seconds=3600))

    def work(_order: Order, stop: Stop) -> Ending:
        assert stop() is None
        machine.at += 600
        raise Interrupted(stop() or "")

    assert run_attempt(machine.attempt(heartbeat=6000.0), work) == FAILED
    assert machine.answers[-1][:2] == ("run", "SpendCap")
    assert "after 600 s of this attempt the job's budget is spent" in machine.answers[-1][2]
    assert run_attempt(Machine(seconds=600).begin(order(max_seconds=600)).attempt(), done(machine)) == SUCCEEDED


def test_heartbeats_go_on_while_the_work_does():
    machine = Machine().begin(order())
    enough = threading.Event()
    beat = machine.send_task_heartbeat

    def counted(**named: str) -> None:
        beat(**named)
        if machine.beats >= 3:
            enough.set()

    machine.send_task_heartbeat = counted
    run_attempt(machine.attempt(), lambda _order, _stop: Ending(job=JOB) if enough.wait(60) else Ending(job="never"))
    assert machine.beats >= 3


def test_a_worker_that_nobody_waits_for_stops_and_answers_nothing():
    machine = Machine().begin(order())

    def work(_order: Order, stop: Stop) -> Ending:
        machine.waited_for.clear()  # the state's heartbeat timed out
        waited = threading.Event()
        while (why := stop()) is None:
            waited.wait(0.01)
        return Ending(job=JOB, error=Error.INTERRUPTED, cause=why)

    assert run_attempt(machine.attempt(), work) == INTERRUPTED
    assert [token for token, _, _ in machine.answers] == ["boot"]


def test_an_attempt_that_was_given_up_before_it_booted_begins_nothing():
    machine = Machine()
    assert run_attempt(machine.attempt(), lambda *_: pytest.fail("began")) == INTERRUPTED
    assert machine.at >= 600


def test_a_boot_that_was_given_up_while_it_was_answered_begins_nothing():
    machine = Machine().begin(order())
    machine.waited_for.clear()
    assert run_attempt(machine.attempt(), lambda *_: pytest.fail("began")) == INTERRUPTED
    assert machine.at >= 30


def test_a_machine_that_goes_before_it_began_says_so():
    machine = Machine().begin(order())
    assert run_attempt(machine.attempt(interruption=lambda: "spot notice: terminate"), done(machine)) == INTERRUPTED
    assert machine.answers == [("boot", "Interrupted", "spot notice: terminate")]


def test_an_order_that_cannot_be_read_is_answered_in_a_sentence():
    machine = Machine().begin(order("bake"))
    assert run_attempt(machine.attempt(), done(machine)) == UNUSABLE
    [(token, error, cause)] = machine.answers
    assert (token, error) == ("boot", "CodeFailed")
    assert "'bake' is not a valid Purpose" in cause
    machine = Machine().begin(None)
    assert run_attempt(machine.attempt(), done(machine)) == UNUSABLE
    assert machine.answers[0][2].startswith(OrderMissing.__name__)


@pytest.mark.parametrize(
    ("error", "name", "status"),
    [
        (Interrupted("spot"), "Interrupted", INTERRUPTED),
        (StoreUnavailable("get x", "503"), "Interrupted", INTERRUPTED),
        (TookTooLong("late"), "TimedOut", FAILED),
        (ZeroDivisionError("division by zero"), "CodeFailed", FAILED),
    ],
)
def test_what_the_work_raises_has_a_name_of_the_contract(error: Exception, name: str, status: int):
    machine = Machine().begin(order())

    def work(_order: Order, _stop: Stop) -> Ending:
        raise error

    assert run_attempt(machine.attempt(), work) == status
    assert machine.answers[1][:2] == ("run", name)
    assert machine.store.stat(job_result_key(JOB)) is None
