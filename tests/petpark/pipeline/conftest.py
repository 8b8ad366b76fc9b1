"""Commands about pipelines, with Step Functions of the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from tests.petpark.conftest import Place
from tests.petpark.jobs.states import StepFunctions, opener

type Command = Callable[..., Result]


@pytest.fixture
def states() -> StepFunctions:
    return StepFunctions()


@pytest.fixture
def run(place: Place, states: StepFunctions) -> Command:
    return lambda *words: CliRunner().invoke(app, [*words], obj=opener(place, states))
