"""`petpark rehearse` before anything starts, and at its end."""

import threading
from pathlib import Path

import pytest

from petpark.rehearse import say_unless_at_the_end
from tests.petpark.conftest import Run


@pytest.mark.parametrize("folders", [[], ["cat"], ["cat", "empty"]])
def test_photos_that_no_classifier_can_learn_from_are_refused_before_anything_starts(
    run: Run, tmp_path: Path, folders: list[str]
) -> None:
    for folder in folders:
        (tmp_path / "photos" / folder).mkdir(parents=True)
    if "cat" in folders:
        (tmp_path / "photos" / "cat" / "one.jpg").write_bytes(b"photo")
    said = run("rehearse", "--photos", str(tmp_path / "photos"), "--directory", str(tmp_path / "r"))
    assert said.exit_code == 2
    assert said.stderr.startswith("PhotosMissing: ")
    assert "Next: " in said.stderr
    assert not (tmp_path / "r").exists()


def test_ending_a_rehearsal_that_does_not_run_says_so(run: Run, tmp_path: Path) -> None:
    said = run("rehearse", "down", "--directory", str(tmp_path / "r"))
    assert (said.exit_code, "No rehearsal is running" in said.stdout) == (0, True)


def test_a_rehearsal_by_pulumi_without_it_says_both_ways_out_before_anything_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    said = run("rehearse", "--engine", "pulumi", "--directory", str(tmp_path / "r"))
    assert said.exit_code == 2
    assert said.stderr.startswith("PulumiMissing: ")
    assert "--engine embedded" in said.stderr
    assert not (tmp_path / "r").exists()


def end_of(error: Exception) -> threading.ExceptHookArgs:
    return threading.ExceptHookArgs((type(error), error, None, threading.current_thread()))


def test_a_deployment_that_is_left_behind_says_nothing_of_the_end_of_the_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_unless_at_the_end(end_of(RuntimeError("cannot schedule new futures after shutdown")))
    assert capsys.readouterr().err == ""
    say_unless_at_the_end(end_of(RuntimeError("something else")))
    assert "RuntimeError: something else" in capsys.readouterr().err
