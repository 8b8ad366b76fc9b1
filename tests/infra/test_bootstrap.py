"""`bootstrap.sh` is run here with stand-ins for Python, pip, uv and systemd."""

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rehearsal.sandbox.properties import variables_of
from tests.examples import examples

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "bootstrap.sh"
UNIT = ROOT / "serving" / "petpark.service"


class Machine:
    """A folder with the code in it; `calls` is what the script ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands, self.code = folder / "commands", folder / "code"
        self.commands.mkdir()
        (self.code / "serving").mkdir(parents=True)
        (self.code / "serving" / UNIT.name).write_text(UNIT.read_text())
        (folder / "home").mkdir(exist_ok=True)
        (self.code / "bootstrap.sh").write_text(SCRIPT.read_text())
        self.python = self.fake("python", 'echo "ran in $PYTHONPATH"')
        self.fake("systemctl", "exit 0")
        self.fake("sleep", "exit 0")

    def fake(self, name: str, body: str, folder: Path | None = None) -> Path:
        script = (folder or self.commands) / name
        script.parent.mkdir(parents=True, exist_ok=True)
        calls = shlex.quote(str(self.folder / "calls"))
        script.write_text(f'#!/bin/bash\necho "{name} $*" >> {calls}\n{body}\n')
        script.chmod(0o755)
        return script

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", str(self.code / "bootstrap.sh"), *words],
            env={"PATH": f"{self.commands}:/usr/bin:/bin", "PETPARK_HOME": str(self.folder / "home"), **environment},
            cwd=self.folder,
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
    done = machine.run("job", PETPARK_PYTHON=str(machine.python))
    assert done.returncode == 0, done.stderr
    assert machine.calls == ["python -m petpark.worker"]
    assert f"ran in {machine.code}" in done.stdout


def test_the_jobs_status_is_the_scripts(machine):
    machine.fake("python", "exit 3")
    assert machine.run("job", PETPARK_PYTHON=str(machine.python)).returncode == 3


@pytest.mark.parametrize("inherited", ["", "/tmp"])
def test_a_job_keeps_what_is_temporary_on_the_volume(machine, inherited):
    """`tempfile` passes over a folder that is not there, and /tmp is in memory on Amazon Linux 2023."""
    module = machine.code / "petpark" / "worker" / "__main__.py"
    module.parent.mkdir(parents=True)
    (module.parent / "__init__.py").touch()
    module.write_text("import tempfile\nprint(tempfile.gettempdir())\n")
    left = machine.folder / "home" / "tmp" / "left"
    left.mkdir(parents=True)
    python = str(Path(sys.base_prefix, "bin", "python3"))  # knows no other package of that name
    done = machine.run("job", PETPARK_PYTHON=python, **({"TMPDIR": inherited} if inherited else {}))
    assert done.stdout.splitlines() == [str(machine.folder / "home" / "tmp")], done.stderr
    assert not left.exists(), "what an earlier boot left is gone, as in /tmp"


@pytest.mark.parametrize("purpose", ["job", "serving"])
def test_packages_are_unpacked_on_the_volume(machine, purpose):
    home = machine.folder / "home"
    show = 'echo "$TMPDIR $UV_CACHE_DIR"'
    for name in ("uv", "python"):
        machine.fake(name, show, home / "tools" / "bin")
    machine.fake("python", "exit 0", home / "environment" / "bin")
    machine.fake("python3", "exit 0")
    machine.fake("systemctl", "exit 0")
    lines = [line for line in machine.run(purpose).stdout.splitlines() if not line.startswith("petpark:")]
    assert lines == [f"{home}/tmp {home}/tools/cache"] * 3


def test_serving_becomes_a_unit_that_systemd_starts_now_and_at_every_boot(machine):
    done = machine.run("serving", PETPARK_PYTHON=str(machine.python))
    assert done.returncode == 0, done.stderr
    unit = machine.folder / "home" / "petpark.service"
    assert machine.calls == [f"systemctl enable {unit}", "systemctl restart petpark.service"]
    lines = unit.read_text().splitlines()
    assert f'ExecStart="{machine.python}" -m serving' in lines
    assert f"WorkingDirectory={machine.folder}/home/code" in lines
    assert f"EnvironmentFile={machine.folder}/home/serving.env" in lines
    assert len(lines) == len(UNIT.read_text().splitlines())


@pytest.mark.parametrize("name", ["a b", "the park's", "50 %", "a&b|c"])
def test_the_unit_is_right_wherever_the_instance_keeps_things(tmp_path, name):
    (tmp_path / name).mkdir()
    machine = Machine(tmp_path / name)
    assert machine.run("serving", PETPARK_PYTHON=str(machine.python)).returncode == 0
    written = str(machine.folder).replace("%", "%%")
    lines = (machine.folder / "home" / "petpark.service").read_text().splitlines()
    assert f"WorkingDirectory={written}/home/code" in lines
    assert f'ExecStart="{written}/commands/python" -m serving' in lines


def test_the_service_has_the_variables_it_needs_and_nobody_else_reads_them(machine):
    done = machine.run(
        "serving", PETPARK_PYTHON=str(machine.python), PETPARK_MODEL="a b", AWS_DEFAULT_REGION="r", OTHER="x"
    )
    assert done.returncode == 0, done.stderr
    file = machine.folder / "home" / "serving.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = variables_of(file.read_text())
    expected = {"PETPARK_MODEL": "a b", "AWS_DEFAULT_REGION": "r", "PYTHONPATH": str(machine.code)}
    assert expected.items() <= found.items()
    assert "OTHER" not in found


def test_variables_of_an_earlier_start_that_others_could_read_are_not_written_over(machine):
    file = machine.folder / "home" / "serving.env"
    file.write_text("left")
    file.chmod(0o644)
    machine.run("serving", PETPARK_PYTHON=str(machine.python))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30).filter(lambda t: t[-1:] != "\n"))
@example('{"a": "$b `c` \\d"}')
def test_any_value_reaches_the_service_as_it_is_whether_systemd_or_a_shell_reads_the_file(machine, value):
    assert machine.run("serving", PETPARK_PYTHON=str(machine.python), PETPARK_MODEL=value).returncode == 0
    file = machine.folder / "home" / "serving.env"
    assert variables_of(file.read_text(newline=""))["PETPARK_MODEL"] == value
    shell = ["/bin/bash", "-c", f'. "{file}"; printf %s "$PETPARK_MODEL"']
    assert subprocess.run(shell, env={}, capture_output=True, check=True, timeout=60).stdout.decode() == value


def test_a_unit_that_systemd_does_not_take_fails_the_boot(machine):
    machine.fake("systemctl", "exit 1")
    assert machine.run("serving", PETPARK_PYTHON=str(machine.python)).returncode == 1


def test_without_an_interpreter_the_environment_is_installed_from_the_lock(machine):
    home = machine.folder / "home"
    machine.fake("uv", "exit 0", home / "tools" / "bin")
    machine.fake("python", "exit 0", home / "tools" / "bin")
    machine.fake("python", 'echo "ran in $PYTHONPATH"', home / "environment" / "bin")
    machine.fake("python3", "exit 0")
    done = machine.run("job")
    assert done.returncode == 0, done.stdout + done.stderr
    code = machine.code
    assert machine.calls == [
        f"python3 -m venv {home}/tools",
        f"python -m pip install --quiet --require-hashes -r {code}/requirements/tools.txt",
        f"uv venv --quiet --clear --python 3.13 {home}/environment",
        f"uv pip sync --quiet --python {home}/environment/bin/python --require-hashes {code}/requirements/training.txt",
        "python -m petpark.worker",
    ]


def test_what_is_installed_lies_where_a_service_that_is_not_root_can_read_it(machine):
    home = machine.folder / "home"
    machine.fake("uv", f'echo "$UV_PYTHON_INSTALL_DIR $UV_CACHE_DIR" >> "{machine.folder}/places"', home / "tools/bin")
    for folder in ("tools", "environment"):
        machine.fake("python", "exit 0", home / folder / "bin")
    machine.fake("python3", "exit 0")
    assert machine.run("serving", HOME="/root").returncode == 0
    assert set((machine.folder / "places").read_text().splitlines()) == {f"{home}/python {home}/tools/cache"}


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
    assert "job or serving" in done.stdout + done.stderr or "job|serving" in done.stdout + done.stderr
    assert not (machine.folder / "calls").exists()


def test_the_script_can_be_executed():
    assert os.access(SCRIPT, os.X_OK)
