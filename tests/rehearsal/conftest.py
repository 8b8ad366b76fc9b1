"""One emulator for all tests of a worker, on a port and in a directory of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.emulator import Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator that enforces policies. Shared: tests give their resources names of their own."""
    directory: Path = tmp_path_factory.mktemp("emulator")
    with Emulator(directory) as running:
        yield running
