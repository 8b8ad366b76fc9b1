"""A pytest plugin for `tests.mutants`: which functions a test reaches through fixtures that are made once.

mutmut notes what is called while a test runs. What a fixture of a session or module calls is noted for the first test
that uses it, so the others would seem not to reach it, and a mutant that they kill would seem to survive.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Generator
from typing import Any, Final

import pytest

REACHED: Final[dict[Any, set[str]]] = defaultdict(set)
"""Fixture -> names of the functions that making it called."""


def _known_readers() -> set[str]:
    """What mutmut recorded since the last test ended."""
    return importlib.import_module("mutmut.state").state()._stats


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Record the functions that creating the fixture calls, in addition to earlier ones."""
    noted = _known_readers()
    before = set(noted)
    noted.clear()
    try:
        return (yield)
    finally:
        REACHED[fixturedef] |= noted
        noted |= before


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Record for this test the functions that creating its fixtures called, for any test."""
    definitions: dict[str, Any] = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    for several in definitions.values():
        for fixture in several:
            _known_readers().update(REACHED[fixture])
