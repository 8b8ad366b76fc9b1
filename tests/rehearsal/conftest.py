"""One emulator for all tests of a worker, on its own port and in its own directory; `--emulator` selects it."""

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
    """A running emulator that enforces policies. Shared: tests use unique resource names."""
    directory: Path = tmp_path_factory.mktemp("emulator")
    with Emulator(directory, product=product) as running:
        yield running
