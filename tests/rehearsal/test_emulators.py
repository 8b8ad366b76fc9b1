"""The table of what each emulator lacks, without running one."""

import ast
from pathlib import Path

import pytest

from rehearsal.emulators import DEFAULT, EMULATORS, Product

CONTRACT = Path(__file__).parent / "emulator"


def contract_tests() -> set[str]:
    """Every contract test, as `file.py::test`."""
    return {
        f"{file.name}::{node.name}"
        for file in CONTRACT.glob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_the_default_emulator_lacks_nothing() -> None:
    assert DEFAULT.lacks == ()


@pytest.mark.parametrize("product", EMULATORS.values(), ids=EMULATORS)
def test_what_an_emulator_lacks_is_shown_by_tests_of_the_contract_each_named_once(product: Product) -> None:
    named = [test for lacking in product.lacks for test in lacking.tests]
    assert {test.partition("[")[0] for test in named} <= contract_tests()
    assert len(named) == len(set(named))
    assert all(lacking.tests and lacking.behaviour and lacking.remedy for lacking in product.lacks)
