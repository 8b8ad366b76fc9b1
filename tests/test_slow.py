"""A test is slow by what it, its helpers and its fixtures refer to."""

import importlib
import subprocess
from multiprocessing import get_context
from pathlib import Path

import pytest

from rehearsal.emulator import Emulator
from tests.conftest import LONGEST, slow_items
from tests.slow import SLOW_CALLS, slow

CONTEXT = get_context("spawn")


class Shell:
    """A helper with a method, and one whose property starts a process."""

    def name(self) -> str:
        return "sh"

    @property
    def status(self) -> int:
        return subprocess.run(["true"], check=True).returncode


class Child(Shell): ...


@pytest.fixture
def cloud(tmp_path):
    return Emulator(tmp_path)


def by_module() -> None:
    subprocess.run(["true"], check=True)


def by_helper() -> None:
    by_module()


def in_a_nested_function() -> None:
    def later() -> None:
        by_helper()

    assert later


def by_a_class_that_it_inherits_from() -> None:
    assert Child().status == 0


def by_a_context() -> None:
    CONTEXT.Process(target=print).start()


TABLE = {"sh": by_module}


def by_a_table_of_functions() -> None:
    TABLE["sh"]()


@pytest.mark.parametrize(
    "test",
    [
        by_module,
        by_helper,
        in_a_nested_function,
        by_a_class_that_it_inherits_from,
        by_a_context,
        by_a_table_of_functions,
    ],
)
def test_what_starts_a_process_is_slow_however_far_away(test):
    assert slow(test, [])


def test_a_test_with_a_slow_fixture_is_slow():
    def test_something() -> None: ...

    assert not slow(test_something, [])
    assert slow(test_something, [cloud])


def test_every_test_with_an_emulator_is_slow(request: pytest.FixtureRequest):
    found = {item.nodeid for item in slow_items(request.config, request.session.items)}
    with_emulator = [item for item in request.session.items if "emulator" in getattr(item, "fixturenames", ())]
    assert {item.nodeid for item in with_emulator} <= found
    assert request.node.nodeid not in found


@pytest.mark.parametrize("call", sorted(SLOW_CALLS))
def test_what_counts_as_slow_exists(call: str):
    module, _, name = call.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert (found.__module__, found.__qualname__) == (module, name)


def test_the_files_that_begin_first_exist():
    assert [file for file in LONGEST if not (Path(__file__).parents[1] / file).is_file()] == []
