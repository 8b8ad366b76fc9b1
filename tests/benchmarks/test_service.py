"""Servers that a benchmark starts."""

import sys
from pathlib import Path

import pytest

from benchmarks.support.service import Service, share_priority


def _proc(directory: Path, own: str | None) -> Path:
    """A /proc in which our session has this priority; process 7 has none yet."""
    for name in ("self", "7"):
        (directory / name).mkdir()
    if own is not None:
        (directory / "self" / "autogroup").write_text(own)
    return directory


@pytest.mark.parametrize("own", [None, "", "/autogroup-12 nice 0\n"])
def test_a_session_without_a_priority_of_its_own_gives_none(tmp_path, own):
    proc = _proc(tmp_path, own)

    share_priority(7, proc=proc)

    assert not (proc / "7" / "autogroup").exists()


@pytest.mark.parametrize("nice", ["-12", "19"])
def test_a_server_gets_the_priority_of_the_session_that_measures_it(tmp_path, nice):
    proc = _proc(tmp_path, f"/autogroup-12 nice {nice}\n")

    share_priority(7, proc=proc)

    assert (proc / "7" / "autogroup").read_text() == nice


def test_a_server_whose_start_fails_is_ended(tmp_path):
    def fails() -> bool:
        raise OSError("no such port")

    command = [sys.executable, "-c", "import signal; signal.pause()"]
    service = Service(command, port=9, log=tmp_path / "log", environment={}, ready=fails)

    with pytest.raises(OSError, match="no such port"):
        service.begin()

    assert not service.alive
