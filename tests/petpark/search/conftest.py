"""A cloud with a dataset, and searches in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from tests.petpark.conftest import Place
from tests.petpark.search.cloud import Cloud


@pytest.fixture
def cloud(place: Place) -> Cloud:
    return Cloud(place)


@pytest.fixture
def run(cloud: Cloud) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(app, [*words], obj=cloud.open)
