"""One run: deploy, start, let the faults happen, decide, wait for the end, and check what is left."""

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from petpark.models import decisions
from petpark.pipeline import certification, runs
from registry.certificates.certificate import Decision
from registry.errors import DecidedMeanwhile
from registry.layout.data_lake import manifest_key
from registry.layout.workspace import certification_key
from registry.store.s3_store import S3Store
from tests.chaos.account import SECOND, Account
from tests.chaos.faults import Injector
from tests.chaos.invariants import Found, look
from tests.chaos.plan import Fault, Injection, Kind, Plan
from tests.chaos.site import GATES, TRAINING, Site, Times, deploy
from tests.chaos.small_machines import SmallMachines, endpoints
from tests.chaos.stand_in import StandIn
from tests.chaos.wire import Wire
from training.dataset.manifest import load_manifest

_MOST_SECONDS: Final = 900.0
_POLL_SECONDS: Final = 1.0


class Stuck(Exception):
    """A run did not come to its end."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run went."""

    plan: Plan
    found: Found
    seconds: float
    done: tuple[Injection, ...]

    @property
    def missed(self) -> tuple[Injection, ...]:
        """Faults whose moment did not come."""
        kept = [*self.done]
        return tuple(each for each in self.plan.injections if each.moment is not None and each not in kept)


def perform(account: Account, plan: Plan, times: Times, *, processes: bool = True) -> Outcome:
    """Do one run; problems at its end are in `found.problems`. Raises `Stuck`.

    Without `processes` nothing is trained: a thread publishes a version instead (`tests.chaos.stand_in`).
    """
    began = time.monotonic()
    with _scene(account, plan, times, processes=processes) as (site, injector, small):
        executions = _start(site, plan)
        _wait(site, plan, executions, injector, small)
        injector.close()
        found = look(site, plan, injector, executions)
    return Outcome(plan=plan, found=found, seconds=time.monotonic() - began, done=tuple(injector.done))


@contextmanager
def _scene(
    account: Account, plan: Plan, times: Times, *, processes: bool
) -> Generator[tuple[Site, Injector, SmallMachines | None]]:
    """The run's stack with its wire, its endpoints and its small machines."""
    injector = Injector(plan, times)
    place = urlsplit(account.emulator.url)
    assert place.hostname
    assert place.port
    with ExitStack() as stack:
        stack.callback(injector.close)
        wire = stack.enter_context(Wire(place.hostname, place.port, injector.watch))
        photos = load_manifest(S3Store(account.client("s3"), account.lake), account.dataset).photos
        labels = {photo.sha256: photo.label for photo in photos}
        url = stack.enter_context(endpoints(lambda stack: _served(injector.site, stack), labels))
        site = deploy(
            account,
            f"{account.name}-{plan.seed}-{plan.number}",
            wire=wire.url if processes else None,
            times=times,
            endpoint=url,
            own_lake=Fault.TWO_STARTS in plan.faults,
        )
        injector.site, injector.wire = site, wire
        small = None
        if plan.kind is Kind.PIPELINE:
            train = None if processes else StandIn(site)
            small = stack.enter_context(
                SmallMachines(site=site, heartbeat=times.heartbeat, ask=injector.ask, train=train)
            )
        yield site, injector, small


def _served(site: Site | None, stack: str) -> Mapping[str, Any] | None:
    """The status of an endpoint that follows its stack's channel at once."""
    head = None if site is None else site.channel(stack).head()
    if head is None:
        return None
    answer = {"instance": f"i-{stack}", "version": head.version, "digest": head.digest, "channel": stack}
    return answer | {"labels": ["cat", "dog"]}


def _start(site: Site, plan: Plan) -> list[str]:
    """Start the plan's executions. Returns the ARNs to wait for."""
    if plan.kind is Kind.JOB:
        return [_start_job(site, plan)]
    if Fault.TWO_STARTS not in plan.faults:
        started = [runs.start(site.target(), site.dataset)]
    else:
        site.account.fill_lake(site.lake)
        key = manifest_key(site.dataset)
        body = site.store(site.lake).get(key)
        site.client("s3").put_object(Bucket=site.lake, Key=key, Body=body)
        started = _at_once([lambda: runs.start(site.target(), site.dataset)] * 2)
    (name,) = {each.name for each in started}
    return [_arn(site, "pipeline", name)]


def _start_job(site: Site, plan: Plan) -> str:
    """Start a training as `petpark train` does, by its order only, twice at once."""
    job = f"train-{sha256(site.name.encode()).hexdigest()[:16]}"
    job_input = {
        "job": job,
        "purpose": "train",
        "machine": "training",
        "max_seconds": 900,
        "requested_by": site.target().identity(),
        "inputs": {
            "dataset": site.dataset,
            "recipe": "two-cores",
            "settings": list(TRAINING),
            "seed": plan.number,
            "gates": GATES,
        },
    }
    states, text = site.client("stepfunctions"), json.dumps(job_input)
    both = _at_once([lambda: states.start_execution(stateMachineArn=site.aliases["job"], name=job, input=text)] * 2)
    (arn,) = {each["executionArn"] for each in both}
    return arn


def _at_once[T](calls: list[Callable[[], T]]) -> list[T]:
    barrier = threading.Barrier(len(calls))

    def begin(call: Callable[[], T]) -> T:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(begin, calls))


def _arn(site: Site, machine: str, name: str) -> str:
    bare = site.aliases[machine].rpartition(":")[0].replace(":stateMachine:", ":execution:")
    return f"{bare}:{name}"


def _wait(site: Site, plan: Plan, executions: list[str], injector: Injector, small: SmallMachines | None) -> None:
    """Until the executions have ended; on the way, certify."""
    states, pause, decided = site.client("stepfunctions"), threading.Event(), False
    deadline = time.monotonic() + _MOST_SECONDS
    while any(states.describe_execution(executionArn=arn)["status"] == "RUNNING" for arn in executions):
        for problem in (*injector.problems, *(small.problems if small else ())):
            raise Stuck(f"{plan.number}: {problem!r}") from problem
        if time.monotonic() > deadline:
            raise Stuck(f"run {plan.number} did not end within {_MOST_SECONDS:.0f} s: {plan}")
        if plan.kind is Kind.PIPELINE and not decided:
            decided = _decide(site, plan, executions[0].rpartition(":")[2])
        pause.wait(_POLL_SECONDS)


def _decide(site: Site, plan: Plan, execution: str) -> bool:
    """Decide about the version if the pipeline waits for it, by two people at once if the plan has that fault."""
    workspace = site.store(site.workspace)
    if workspace.stat(certification_key(execution)) is None:
        return False
    request = json.loads(workspace.get(certification_key(execution)))
    how = next((each.how for each in plan.injections if each.fault is Fault.TWO_DECISIONS), "certified")
    people = (None, f"{site.account.name}-{SECOND}")

    def decide(who: str | None, decision: Decision) -> None:
        target = site.target(only=who)
        try:
            signed = decisions.certify(target, int(request["version"]), decision=decision, note="chaos")
        except DecidedMeanwhile:
            return
        certification.answer(target, signed)

    words: list[Any] = how.split("+")
    _at_once([lambda who=who, word=word: decide(who, word) for who, word in zip(people, words, strict=False)])
    return True
