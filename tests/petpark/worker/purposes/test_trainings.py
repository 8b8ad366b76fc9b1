"""The purposes `train` and `trial`: specs from orders, and the training's process."""

import json
import os
import select
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from petpark.worker.endings import Error
from petpark.worker.order import Order, OrderMalformed
from petpark.worker.purposes.trainings import ensure_spec, spec_of, train
from petpark.worker.training_process import TrainingProcess
from registry.layout.jobs import job_spec_key
from registry.store.memory_store import MemoryStore
from tests.petpark.worker.machine import JOB, REQUESTER, order
from training.errors import SpecMalformed
from training.job import JobResult, JobSpec, store_result, submit

GATES: dict[str, Any] = {"data": {"leaks": 0.0}, "model": {"accuracy": 0.8}, "checks": {"photos": 20.0}}


def read(purpose: str = "train", **changes: Any) -> Order:
    inputs: dict[str, Any] = {
        "dataset": "d" * 64,
        "recipe": "two-cores",
        "settings": ["epochs=3"],
        "seed": 7,
        "gates": GATES,
    }
    return Order.from_json(json.dumps(order(purpose, **{**inputs, **changes})).encode())


def test_a_spec_says_what_the_inputs_say():
    spec = spec_of(read(), code="c" * 64)
    assert (spec.dataset, spec.seed, spec.requested_by, spec.code) == ("d" * 64, 7, REQUESTER, "c" * 64)
    assert spec.hyper_parameters.epochs == 3
    assert spec.evaluation.gates.accuracy == 0.8
    assert spec.evaluation.checks.photos == 20
    assert spec.data_gates is not None
    assert spec.data_gates.leaks == 0
    assert (spec.study, spec.initial_weights, spec.max_seconds) == (None, None, 3600)
    assert JobSpec.from_json(spec.to_json()) == spec


def test_a_trial_belongs_to_its_study():
    assert spec_of(read("trial", study="s-1", trial=4), code=None).study == "s-1"


def test_the_usual_recipe_starts_from_weights_that_instances_have():
    spec = spec_of(read(recipe="", settings=[], gates={"data": {}, "model": {}, "checks": {}}), code=None)
    assert spec.hyper_parameters.frozen
    assert spec.initial_weights is not None
    assert spec.data_gates is None


@pytest.mark.parametrize(
    ("changes", "error", "expected"),
    [
        ({"settings": ["epoch=3"]}, SpecMalformed, "'epoch=3' is not a setting; use name=value with one of: arch"),
        ({"recipe": "cake"}, SpecMalformed, "no recipe 'cake'; choose one of: two-cores"),
        ({"recipe": "transfer", "settings": ["epochs=3"]}, SpecMalformed, "epochs changes nothing"),
        ({"recipe": "transfer", "settings": ["architecture=resnet18"]}, SpecMalformed, "petpark train --weights"),
        ({"dataset": ""}, OrderMalformed, "invalid inputs for purpose train: field 'dataset'"),
        ({"gates": {"model": {}}}, OrderMalformed, "gates"),
        ({"study": "s"}, OrderMalformed, "unknown fields: study"),
    ],
)
def test_wrong_inputs_are_named(changes: dict[str, Any], error: type[Exception], expected: str):
    with pytest.raises(error, match=expected):
        spec_of(read(**changes), code=None)


def test_a_spec_that_was_submitted_is_the_one_that_counts():
    store = MemoryStore()
    submit(store, JOB, JobSpec(dataset="e" * 64, seed=1, requested_by=REQUESTER))
    assert ensure_spec(store, Order.from_json(json.dumps(order()).encode()), code=None).dataset == "e" * 64
    other = MemoryStore()
    assert ensure_spec(other, read(), code=None).dataset == "d" * 64
    assert other.stat(job_spec_key(JOB)) is not None
    assert ensure_spec(other, read(seed=8), code=None).seed == 7, "an earlier attempt's stays"


def python_process(script: str, lines: list[str] | None = None) -> TrainingProcess:
    return TrainingProcess((sys.executable, "-c", script), print_line=(lines if lines is not None else []).append)


def never_stop() -> str | None:
    return None


@pytest.mark.slow  # starts a process
def test_the_end_of_a_trainings_output_is_in_the_cause():
    messages: list[str] = []
    process = python_process("print('one'); print('two'); raise SystemExit(2)", messages)
    ending = train(read(), MemoryStore(), stop=never_stop, rendezvous=None, process=process)
    assert messages == ["one", "two"]
    assert (ending.error, ending.cause.splitlines()[-2:]) == (Error.CODE_FAILED, ["one", "two"])


@pytest.mark.slow  # starts a process
def test_a_training_that_stored_its_result_has_ended_well():
    store = MemoryStore()
    store_result(store, JobResult(job=JOB, status="succeeded", outcome="refused"))
    assert train(read(), store, stop=never_stop, rendezvous=None, process=python_process("pass")).error is None


@pytest.mark.slow  # starts a process
def test_a_training_that_is_killed_is_tried_again():
    process = python_process(f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    ending = train(read(), MemoryStore(), stop=never_stop, rendezvous=None, process=process)
    assert ending.error is Error.INTERRUPTED
    assert "-9" in ending.cause


@pytest.mark.slow  # starts a process
def test_a_training_is_asked_to_end_and_has_time_for_its_checkpoint(tmp_path: Path):
    ready = threading.Event()
    kept = tmp_path / "checkpoint"
    script = (
        "import signal, sys, pathlib\n"
        "def end(*_): pathlib.Path(sys.argv[1]).write_text('kept'); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end); print('ready', flush=True); signal.pause()"
    )
    process = TrainingProcess((sys.executable, "-c", script, str(kept)), print_line=lambda _line: ready.set())
    ending = train(
        read(),
        MemoryStore(),
        stop=lambda: "spot notice: terminate" if ready.is_set() else None,
        rendezvous=None,
        process=process,
    )
    assert kept.read_text() == "kept"
    assert (ending.error, ending.cause) == (Error.INTERRUPTED, "spot notice: terminate")


@pytest.mark.slow  # starts a process
def test_a_training_that_does_not_end_is_killed_with_what_it_started():
    ready = threading.Event()
    children: list[int] = []
    script = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(child.pid, flush=True); child.wait()"
    )

    def print_line(line: str) -> None:
        children.append(int(line))
        ready.set()

    process = TrainingProcess((sys.executable, "-c", script), print_line=print_line)
    assert process.run(ready.is_set, {}, grace=0.1) == -signal.SIGKILL
    with suppress(ProcessLookupError):  # it is gone already
        child = os.pidfd_open(children[0])
        try:
            assert select.select([child], [], [], 60)[0], "what the training started still runs"
        finally:
            os.close(child)
    assert os.getpid() not in children
