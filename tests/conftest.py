"""The order of the whole run, and how its processes share the cores."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from petpark.loopback import direct
from petpark.machine import workers_for_tests
from rehearsal.emulators import DEFAULT, EMULATORS
from tests.shared_loader import share_service_descriptions
from tests.slow import slow
from training.instance.memory import total_memory

os.environ.update(direct(os.environ))

# torch's threads wait for each other by spinning, which takes most of the time where several trainings share two cores.
# Read when torch is loaded, here and in child processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # see serving/__init__.py; tests load ONNX Runtime themselves, too

# The fork server imports torch once for all tests that train. There is one per pytest process, and this must be set
# before any test uses it.
multiprocessing.set_forkserver_preload(["tests.training.training_process"])

# Otherwise moto's EC2 reads 1,300 public images at each start. It accepts unknown images.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

share_service_descriptions()

# Every 2,000 new objects, as by default, garbage collection takes a sixth of the time of tests that deploy stacks.
gc.set_threshold(20_000)

# No deadline: the time of an example depends on the machine. `make test-fast` uses the profile `quick`; `make mutants`
# uses the same examples each time.
settings.register_profile("usual", settings(), deadline=None)
settings.register_profile("quick", settings.get_profile("usual"), max_examples=20)
settings.register_profile("repeatable", settings.get_profile("quick"), derandomize=True, database=None)
settings.load_profile("usual")

LONGEST = (
    "tests/rehearsal/test_stacks.py",
    "tests/rehearsal/scenario/test_lifecycle.py",
    "tests/rehearsal/pipeline/test_chaos.py",
    "tests/rehearsal/engine/test_stack_life.py",
    "tests/training/networks/test_export.py",
    "tests/training/distributed/test_group.py",
    "tests/training/fitting/test_train.py",
    "tests/training/fitting/test_frozen.py",
    "tests/serving/pages/browser/test_pages_in_browser.py",
    "tests/training/distributed/test_rendezvous.py",
    "tests/training/distributed/test_processes.py",
    "tests/registry/test_races.py",
    "tests/petpark/jobs/test_submission.py",
    "tests/petpark/jobs/test_train.py",
    "tests/rehearsal/test_pulumi_cli.py",
    "tests/serving/test_process.py",
    "tests/benchmarks/serving/test_soak.py",
    "tests/registry/test_state_machine.py",
)
"""Files that take the most processor time, the longest first: begun last, one would be waited for by all others."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`, used by `make test`, is limited by cores and memory."""
    return workers_for_tests(total_memory(), os.process_cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--emulator", choices=tuple(EMULATORS), default=DEFAULT.key, help="What tests/rehearsal runs against."
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude imported modules and collected tests from garbage collection.

    They stay until the end, and are so many objects that garbage collection takes a third of pytest's collection time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))
    if config.option.markexpr:  # to find slow tests takes a second, and otherwise nothing reads the marker
        for item in slow_items(config, items):
            item.add_marker("slow")


def slow_items(config: pytest.Config, items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """The tests that `make test-fast` leaves out."""
    conftests = {
        name.removesuffix("conftest"): plugin
        for plugin in config.pluginmanager.get_plugins()
        if isinstance(plugin, ModuleType) and (name := str(plugin.__name__)).endswith("conftest")
    }
    for item in items:
        if isinstance(item, pytest.Function) and (
            item.get_closest_marker("rehearsal") or slow(item.function, _fixtures(item, conftests))
        ):
            yield item


def _fixtures(item: pytest.Function, conftests: dict[str, ModuleType]) -> Iterator[Callable[..., Any]]:
    """The functions of the fixtures that a test uses: its module's own, or those of the nearest conftest."""
    near = sorted((name for name in conftests if item.function.__module__.startswith(name)), key=len, reverse=True)
    places = [item.module, *(conftests[name] for name in near)]
    for name in item.fixturenames:
        yield from [getattr(place, name) for place in places if hasattr(place, name)][:1]


def _place(nodeid: str) -> int:
    return next((place for place, file in enumerate(LONGEST) if nodeid.startswith(file)), len(LONGEST))
