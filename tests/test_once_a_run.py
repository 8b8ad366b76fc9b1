from pathlib import Path

import pytest

from tests.once_a_run import made_once


class Processes:
    """Folders as pytest-xdist gives them to the processes of a run."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def getbasetemp(self) -> Path:
        return self.base


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[pytest.TempPathFactory]:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    return [Processes(tmp_path / name) for name in ("popen-gw0", "popen-gw1")]  # pyright: ignore[reportReturnType]


def test_the_processes_of_a_run_make_a_thing_once(processes: list[pytest.TempPathFactory]):
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "thing").write_text("made")

    first, second = (made_once(process, "model", make) for process in processes)
    assert (first, len(calls)) == (second, 1)
    assert (second / "thing").read_text() == "made"
    assert made_once(processes[0], "other", make) != first


def test_what_could_not_be_made_is_tried_again(processes: list[pytest.TempPathFactory]):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("made")
        raise ValueError("no memory")

    with pytest.raises(ValueError, match="no memory"):
        made_once(processes[0], "model", fail)
    folder = made_once(processes[1], "model", lambda folder: (folder / "thing").write_text("made"))
    assert [path.name for path in folder.iterdir()] == ["thing"]
