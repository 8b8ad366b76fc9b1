import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.machine import unsupported, workers_for_tests
from tests.petpark.conftest import Run


def test_linux_can_run_a_rehearsal():
    assert unsupported("linux") is None


@pytest.mark.parametrize(
    ("platform", "name", "instead"),
    [
        ("darwin", "macOS", "virtual machine"),
        ("win32", "Windows", "Subsystem for Linux"),
        ("freebsd14", "freebsd14", ""),
    ],
)
def test_another_system_is_told_what_is_missing_and_where_to_rehearse_instead(platform: str, name: str, instead: str):
    reason = unsupported(platform)
    assert reason is not None
    assert f"this is {name}" in reason
    assert "prctl" in reason
    assert instead in reason


def test_a_rehearsal_is_refused_there_before_anything_starts(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr("petpark.commands.operations.rehearse.unsupported", lambda: unsupported("darwin"))
    said = run("rehearse", "--directory", str(tmp_path / "r"))
    assert said.exit_code == 2
    assert said.stderr.startswith("SystemUnsupported: A rehearsal needs Linux, and this is macOS")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("gigabytes", "cores", "workers"),
    [(1, 8, 1), (4, 8, 1), (8, 8, 2), (16, 8, 4), (256, 64, 4), (256, 1, 2), (256, 2, 3), (8, 2, 2)],
)
def test_as_many_processes_run_the_tests_as_fit_into_memory_and_keep_the_cores_busy(
    gigabytes: int, cores: int, workers: int
):
    assert workers_for_tests(gigabytes * 10**9, cores) == workers


@given(st.integers(0, 2**45), st.integers(1, 512))
def test_there_is_always_one_and_never_more_than_fit(memory: int, cores: int):
    workers = workers_for_tests(memory, cores)
    assert 1 <= workers <= min(4, cores + 1)
    assert workers == 1 or workers * 2.5e9 + 1e9 <= memory
