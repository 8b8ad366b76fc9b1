import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STATE = """
class State:
    _stats = set()

_STATE = State()

def state():
    return _STATE
"""

NOTES = """
from pathlib import Path
from mutmut.state import state

def pytest_runtest_teardown(item):
    with Path("notes").open("a") as notes:
        print(item.name, *sorted(state()._stats), file=notes)
    state()._stats.clear()
"""

TESTS = """
import pytest
from mutmut.state import state

@pytest.fixture(scope="session")
def shared():
    state()._stats.add("making")

@pytest.fixture
def around(shared):
    pass

def test_first(shared):
    state()._stats.add("own")

def test_second(around):
    pass

def test_without():
    pass
"""


def test_whoever_uses_a_shared_fixture_reaches_what_making_it_called(tmp_path: Path):
    (tmp_path / "mutmut").mkdir()
    for name, text in {"mutmut/state.py": STATE, "conftest.py": NOTES, "test_inner.py": TESTS}.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "-p", "tests.fixture_readers", "test_inner.py"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    notes = (tmp_path / "notes").read_text().splitlines()
    assert notes == ["test_first making own", "test_second making", "test_without"]
