"""The table of what each emulator lacks, without running one."""

import ast
import io
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from petpark.commands.operations import rehearse
from rehearsal.emulator import REPOSITORY
from rehearsal.emulators import DEFAULT, EMULATORS, Lacking, Product
from rehearsal.emulators.__main__ import table
from rehearsal.engine.errors import EngineError
from rehearsal.report.steps import Steps
from rehearsal.run import EmulatorLacks, naming_what_lacks

CONTRACT = Path(__file__).parent / "emulator"


def contract_tests() -> set[str]:
    """Every contract test, as `file.py::test`."""
    return {
        f"{file.name}::{node.name}"
        for file in CONTRACT.glob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_emulator_can_be_chosen_for_a_rehearsal() -> None:
    assert get_args(rehearse.EmulatorName.__value__) == tuple(EMULATORS)
    assert all(product.key == key for key, product in EMULATORS.items())


def test_the_default_emulator_lacks_nothing() -> None:
    assert DEFAULT.lacks == ()


@pytest.mark.parametrize("product", [product for product in EMULATORS.values() if product.lacks], ids=lambda p: p.key)
def test_the_page_says_what_the_suite_knows(product: Product) -> None:
    page = (REPOSITORY / "docs" / "design" / "emulators.md").read_text()
    assert table(product) in page, "print the tables anew: python -m rehearsal.emulators"


@pytest.mark.parametrize("product", EMULATORS.values(), ids=EMULATORS)
def test_what_an_emulator_lacks_is_shown_by_tests_of_the_contract_each_named_once(product: Product) -> None:
    named = [test for lacking in product.lacks for test in lacking.tests]
    assert {test.partition("[")[0] for test in named} <= contract_tests()
    assert len(named) == len(set(named))
    assert all(lacking.tests and lacking.behaviour and lacking.fix for lacking in product.lacks)


LACKING = Lacking(behaviour="a voice", tests=("test_access.py::test_x",), fix="patience", sign="cannot sing")


def failing(product: Product, error: str) -> None:
    steps = Steps(Console(file=io.StringIO()))
    with naming_what_lacks(product, steps), steps.step("release 1 to test"):
        raise EngineError(error)


def test_a_rehearsal_that_ends_in_another_emulator_names_the_step_and_what_is_lacking() -> None:
    product = replace(EMULATORS["ministack"], lacks=(LACKING,))
    with pytest.raises(EmulatorLacks, match="step “release 1 to test”: it lacks a voice") as ended:
        failing(product, "it cannot sing\nnor dance")
    assert "\n" not in str(ended.value)
    with pytest.raises(EmulatorLacks, match="step “release 1 to test”: EngineError: of another kind"):
        failing(product, "of another kind")


def test_a_failure_in_the_default_emulator_is_shown_as_it_is() -> None:
    with pytest.raises(EngineError, match="it cannot sing"):
        failing(DEFAULT, "it cannot sing")
