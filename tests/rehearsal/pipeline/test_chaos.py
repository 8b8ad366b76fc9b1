"""Five runs of `make chaos`: jobs and pipelines end in the right state whatever fails. `docs/design/chaos.md`."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from rehearsal.emulator import Emulator
from tests.chaos.account import open_account
from tests.chaos.plan import Fault, Injection, Kind, Moment, Plan, Stage
from tests.chaos.run import Outcome, perform
from tests.chaos.site import Times

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(600)]

TIMES = Times(heartbeat=15, boot=120, outage=4.0)
RUNS: Mapping[str, tuple[Kind, tuple[Injection, ...]]] = {
    "a training whose worker is killed, then its host, goes on from its checkpoint and publishes once": (
        Kind.JOB,
        (
            Injection(fault=Fault.WORKER_KILLED, moment=Moment.EPOCH, epoch=2),
            Injection(fault=Fault.LOST, moment=Moment.RESULT),
        ),
    ),
    "a training that is cancelled leaves nothing": (
        Kind.JOB,
        (Injection(fault=Fault.CANCELLED, moment=Moment.BOOT),),
    ),
    "two starts, and a move whose worker dies before it stored its result": (
        Kind.PIPELINE,
        (
            Injection(fault=Fault.TWO_STARTS),
            Injection(fault=Fault.STAGE_LOST, moment=Moment.RESULT, stage=Stage.MOVE),
        ),
    ),
    "two certifiers who do not agree, and an application test whose machine is taken away": (
        Kind.PIPELINE,
        (
            Injection(fault=Fault.TWO_DECISIONS, how="certified+refused"),
            Injection(fault=Fault.STAGE_NOTICE, moment=Moment.BOOT, stage=Stage.APPLICATION_TEST),
        ),
    ),
    "a dataset check whose worker dies before it answered": (
        Kind.PIPELINE,
        (Injection(fault=Fault.STAGE_LOST, moment=Moment.ANSWER, stage=Stage.DATASET),),
    ),
}


@pytest.fixture(scope="module")
def outcomes(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Outcome]]]:
    """All runs, at once; in pipelines a thread stands for the training."""
    directory = tmp_path_factory.mktemp("chaos")
    with open_account(emulator, directory, name="chaos-test") as account, ThreadPoolExecutor(len(RUNS)) as pool:
        plans = [
            Plan(seed=0, number=number, kind=kind, injections=injections)
            for number, (kind, injections) in enumerate(RUNS.values(), start=1)
        ]
        begun = [pool.submit(perform, account, plan, TIMES, processes=plan.kind is Kind.JOB) for plan in plans]
        yield dict(zip(RUNS, begun, strict=True))


@pytest.mark.parametrize("run", RUNS)
def test_a_run_with_injected_faults_keeps_all_invariants(outcomes: Mapping[str, Future[Outcome]], run: str) -> None:
    outcome = outcomes[run].result()
    assert outcome.found.problems == ()
    assert outcome.missed == (), "the plan is one that this test can keep"
    if outcome.plan.kind is Kind.JOB and not outcome.plan.faults & {Fault.CANCELLED}:
        assert outcome.found.attempts > len(outcome.plan.injections), "each fault cost an attempt"
