"""The agent as the unit file starts it: with this room's libraries alone, from a settings file."""

import configparser
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from camera.agent import STOP_SECONDS
from tests.camera.conftest import VIDEO
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "docs" / "petpark-camera.service"
WITHOUT_COMMANDS = """
import runpy, sys
sys.modules["petpark"] = sys.modules["typer"] = None
runpy.run_module("{0}", run_name="__main__")
"""


def agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run what the unit's ExecStart runs, where neither petpark's commands nor their libraries can be imported."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]  the documented way to keep case
    unit.read(UNIT)
    _python, option, module, _settings = shlex.split(unit["Service"]["ExecStart"])
    assert option == "-m"
    command = [sys.executable, "-W", "error", "-c", WITHOUT_COMMANDS.format(module), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_it_plays_a_file_to_its_end_and_says_that_the_endpoint_is_away(videos, tmp_path):
    port = free_port()
    settings = tmp_path / "cameras.yaml"
    document = {
        "home": str(tmp_path / "home"),
        "endpoint": "http://127.0.0.1:9",
        "port": port,
        "cameras": [{"name": "gate", "url": str(videos / VIDEO)}],
    }
    settings.write_text(yaml.safe_dump(document))
    ended = agent(str(settings))
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    messages = [line["message"] for line in lines]
    assert messages[0] == "agent started"
    assert messages[-1] == "agent ended"
    (away,) = [line for line in lines if line["message"] == "endpoint unreachable; dropping frames"]
    assert away["level"] == "warning"
    assert away["reason"] == "the endpoint does not respond: ConnectError"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "usage"), (["--help"], "usage"), (["one", "two"], "usage"), (["/nowhere.yaml"], "No such file")],
)
def test_what_cannot_run_says_why_and_ends_with_two(arguments, said):
    ended = agent(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_systemd_waits_for_longer_than_an_end_may_take():
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.read(UNIT)
    assert unit.getint("Service", "TimeoutStopSec") > STOP_SECONDS
