"""One emulator for all tests of a worker, on a port and in a directory of its own; `--emulator` says which."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.emulator import Emulator
from rehearsal.emulators import EMULATORS, Product


@pytest.fixture(scope="session")
def product(request: pytest.FixtureRequest) -> Product:
    """The emulator under test."""
    return EMULATORS[str(request.config.getoption("--emulator"))]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Iterator[Emulator]:
    """A running emulator that enforces policies. Shared: tests give their resources names of their own."""
    directory: Path = tmp_path_factory.mktemp("emulator")
    with Emulator(directory, product=product) as running:
        yield running
