"""The order of the whole run."""

import pytest

_LONGEST = ("tests/rehearsal/test_stacks.py", "tests/rehearsal/test_lifecycle.py")
"""Deploy whole stacks, and wait for minutes while other tests can use the processors: they go first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))
