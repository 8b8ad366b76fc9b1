"""The order of the whole run."""

import pytest

_LONGEST = (
    "tests/rehearsal/test_stacks.py",
    "tests/rehearsal/test_lifecycle.py",
    "tests/training/test_train.py",
    "tests/training/test_group.py",
    "tests/rehearsal/engine/test_stack_life.py",
    "tests/training/test_export.py",
    "tests/training/test_processes.py",
    "tests/training/test_run.py",
    "tests/benchmarks/test_soak.py",
    "tests/registry/test_state_machine.py",
)
"""Files that take a minute or more, the longest first: begun last, one of them would be waited for by all others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    return next((place for place, file in enumerate(_LONGEST) if nodeid.startswith(file)), len(_LONGEST))
