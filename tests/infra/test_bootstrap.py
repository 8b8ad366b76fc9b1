"""`bootstrap.sh` is run here with stand-ins for Python, pip, uv and systemd."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "bootstrap.sh"


class Machine:
    """A folder with the code in it; `calls` is what the script ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands, self.code = folder / "commands", folder / "code"
        self.commands.mkdir()
        self.code.mkdir()
        (self.code / "bootstrap.sh").write_text(SCRIPT.read_text())
        self.python = self.fake("python", 'echo "ran in $PYTHONPATH"')
        self.fake("systemd-run", "exit 0")
        self.fake("sleep", "exit 0")

    def fake(self, name: str, body: str, folder: Path | None = None) -> Path:
        script = (folder or self.commands) / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.folder}/calls\n{body}\n')
        script.chmod(0o755)
        return script

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", str(self.code / "bootstrap.sh"), *words],
            env={"PATH": f"{self.commands}:/usr/bin:/bin", "PETPARK_HOME": str(self.folder / "home"), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_interpreter_that_has_the_environment_is_used_as_it_is(machine):
    done = machine.run("training", PETPARK_PYTHON=str(machine.python))
    assert done.returncode == 0, done.stderr
    assert machine.calls == ["python -m training"]
    assert f"ran in {machine.code}" in done.stdout


def test_the_jobs_status_is_the_scripts(machine):
    machine.fake("python", "exit 3")
    assert machine.run("training", PETPARK_PYTHON=str(machine.python)).returncode == 3


def test_serving_becomes_a_unit_that_always_comes_back_with_the_variables_it_needs(machine):
    done = machine.run(
        "serving", PETPARK_PYTHON=str(machine.python), PETPARK_MODEL="a b", AWS_DEFAULT_REGION="r", OTHER="x"
    )
    assert done.returncode == 0, done.stderr
    (call,) = machine.calls
    assert call.startswith("systemd-run --unit=petpark --property=Restart=always")
    assert call.endswith(f"{machine.python} -m serving")
    assert "--setenv=PETPARK_MODEL=a b" in call
    assert "--setenv=AWS_DEFAULT_REGION=r" in call
    assert f"--setenv=PYTHONPATH={machine.code}" in call
    assert "OTHER" not in call


def test_without_an_interpreter_the_environment_is_installed_from_the_lock(machine):
    home = machine.folder / "home"
    machine.fake("uv", "exit 0", home / "tools" / "bin")
    machine.fake("python", "exit 0", home / "tools" / "bin")
    machine.fake("python", 'echo "ran in $PYTHONPATH"', home / "environment" / "bin")
    machine.fake("python3", "exit 0")
    done = machine.run("training")
    assert done.returncode == 0, done.stdout + done.stderr
    code = machine.code
    assert machine.calls == [
        f"python3 -m venv {home}/tools",
        f"python -m pip install --quiet --require-hashes -r {code}/requirements/tools.txt",
        f"uv venv --quiet --clear --python 3.13 {home}/environment",
        f"uv pip sync --quiet --python {home}/environment/bin/python --require-hashes {code}/requirements/training.txt",
        "python -m training",
    ]


def test_an_index_that_does_not_answer_is_asked_five_times(machine):
    machine.fake("python3", "exit 0")
    machine.fake("python", "exit 1", machine.folder / "home" / "tools" / "bin")
    done = machine.run("serving")
    assert done.returncode == 1
    assert "gave up" in done.stdout
    assert len([call for call in machine.calls if "pip install" in call]) == 5


@pytest.mark.parametrize("words", [(), ("dancing",)])
def test_an_unknown_purpose_is_refused(machine, words):
    done = machine.run(*words)
    assert done.returncode in {1, 2}
    assert "training" in done.stdout + done.stderr
    assert not (machine.folder / "calls").exists()


def test_the_script_can_be_executed():
    assert os.access(SCRIPT, os.X_OK)
