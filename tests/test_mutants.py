"""What `make mutants` decides without running anything: samples, the order of tests, what a change makes stale."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.mutants import Score, chosen, forget, in_order, killed, type_errors

NAMES = st.sets(st.text("abc", min_size=1, max_size=4), max_size=30)
STATISTICS = {
    "duration_by_test": {"tests/registry/test_a.py::test_1": 0.1, "tests/registry/test_b.py::test_2": 0.2},
    "tests_by_mangled_function_name": {"registry.a.x_f": ["tests/registry/test_a.py::test_1", "gone"]},
    "stats_time": 3,
}


@given(NAMES, st.integers(0, 9), st.integers(1, 20), st.integers(1, 20))
def test_a_larger_sample_begins_with_a_smaller_one_whatever_else_is_there(names, seed, one, other):
    small, large = sorted((one, other))
    assert chosen(names, seed=seed, sample=large)[:small] == chosen(sorted(names), seed=seed, sample=small)
    assert sorted(chosen(names, seed=seed, sample=0)) == sorted(names)


def test_tests_of_the_module_come_first_then_those_of_its_folder_and_the_quickest_of_each():
    seconds = {
        "tests/registry/store/test_transfer.py::slow": 9.0,
        "tests/registry/store/test_transfer.py::quick": 1.0,
        "tests/registry/store/test_s3_store.py::quick": 0.5,
        "tests/registry/test_layout.py::quick": 0.1,
    }
    ordered = in_order("registry.store.transfer.x_send__mutmut_1", seconds, seconds)
    assert ordered == [
        "tests/registry/store/test_transfer.py::quick",
        "tests/registry/store/test_transfer.py::slow",
        "tests/registry/store/test_s3_store.py::quick",
        "tests/registry/test_layout.py::quick",
    ]


def test_a_changed_test_file_is_collected_again_and_any_other_change_makes_all_stale():
    kept = forget(STATISTICS, ["tests/registry/test_b.py", "docs/architecture.md"])
    assert kept == {
        "duration_by_test": {"tests/registry/test_a.py::test_1": 0.1},
        "tests_by_mangled_function_name": {"registry.a.x_f": ["tests/registry/test_a.py::test_1"]},
        "stats_time": 3,
    }
    for stale in ("registry/layout.py", "tests/registry/conftest.py", "Pulumi.test.yaml"):
        assert forget(STATISTICS, ["tests/registry/test_b.py", stale]) is None


def test_a_mutant_is_killed_by_a_failure_or_a_signal_and_not_by_having_no_tests():
    assert [killed(code) for code in (1, 2, -9, 0, None)] == [True, True, True, False, False]


def test_a_score_is_a_row_with_its_interval():
    row = Score(folder="registry", mutants=900, killed=8, survived=1, untested=1, type_errors=1).row()
    assert row == "| registry | 900 | 10 | 8 | 1 | 1 | 80.0% | 49.0% to 94.3% | 90.0% |"
    assert Score(folder="empty", mutants=0).row() == "| empty | 0 | 0 | 0 | 0 | 0 | - | 0.0% to 100.0% | - |"


def test_only_what_the_type_checker_reports_of_a_mutant_and_not_of_its_module_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("[tool.basedpyright]\ntypeCheckingMode = 'strict'\n")
    module = Path("module.py")
    original = "def half(number: int) -> float:\n    return number / 2\n\n\nwrong: int = 'as it was before'\n"
    module.write_text(original)
    texts = {
        "a value of another type": (module, original.replace("number / 2", "None")),
        "another value": (module, original.replace("/ 2", "/ 3")),
        "nothing is used": (module, "import os\n" + original),
    }
    assert type_errors(texts) == {"a value of another type"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["module.py", "pyproject.toml"]
    assert type_errors({}) == set()
