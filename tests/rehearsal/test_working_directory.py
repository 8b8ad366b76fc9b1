"""The folder of a rehearsal and its lock."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rehearsal import working_directory
from rehearsal.working_directory import DiskFull, RehearsalRunning, WorkingDirectory

SPAWN = multiprocessing.get_context("spawn")


def hold(directory: Path, ready: Connection) -> None:
    with WorkingDirectory(directory):
        ready.send("provider_state")
        signal.pause()


def hold_against_term(directory: Path, ready: Connection) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hold(directory, ready)


@pytest.fixture
def other(tmp_path, request):
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=request.param, args=(tmp_path, there))
    process.start()
    assert here.recv() == "provider_state"
    yield process
    process.kill()
    process.join()


@pytest.mark.parametrize("other", [hold], indirect=True)
def test_a_second_rehearsal_is_refused_and_told_how_to_end_the_first(tmp_path, other):
    with (
        pytest.raises(RehearsalRunning, match=rf"process {other.pid}.*petpark rehearse down"),
        WorkingDirectory(tmp_path),
    ):
        pass


@pytest.mark.parametrize("other", [hold, hold_against_term], indirect=True)
def test_down_ends_a_rehearsal_even_one_that_ignores_the_request(tmp_path, other):
    assert working_directory.end(tmp_path, timeout=0.5) == other.pid
    other.join(60)
    assert other.exitcode is not None
    with WorkingDirectory(tmp_path):
        assert working_directory.holder(tmp_path) == os.getpid()


def test_down_without_a_rehearsal_says_so(tmp_path):
    assert working_directory.end(tmp_path) is None


def test_a_rehearsal_starts_in_an_empty_folder_and_keeps_only_what_it_is_told_to(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("left from last time")
    with WorkingDirectory(tmp_path) as place:
        assert {entry.name for entry in tmp_path.iterdir()} == {"lock"}
        place.folder("state")
        (tmp_path / "summary.json").write_text("{}")
        place.tidy("summary.json")
    assert {entry.name for entry in tmp_path.iterdir()} == {"lock", "summary.json"}


def test_a_full_disk_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(working_directory, "ROOM_NEEDED", 2**62)
    with pytest.raises(DiskFull, match="Free some space"), WorkingDirectory(tmp_path):
        pass
    assert working_directory.holder(tmp_path) is None
