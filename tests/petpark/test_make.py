"""The Makefile, run by the real make in a folder with a name that quoting must survive; programs are stand-ins."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"
RECORD = """#!/bin/bash
printf '%s\\0' "$@" >> "$RECORD"
printf '\\n' >> "$RECORD"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which set-up is done: every program writes down its arguments."""
    folder = tmp_path / "Ana's pet park"
    for lock in ("tools", "development", "deploy", "emulator"):
        file = f"requirements/{lock}.txt"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "pyproject.toml").touch()
    shutil.copy(MAKEFILE, folder)
    for program in (".tools/bin/uv", ".tools/bin/python", ".venv/bin/python", ".venv-emulator/bin/python"):
        (folder / program).parent.mkdir(parents=True, exist_ok=True)
        (folder / program).write_text(RECORD)
        (folder / program).chmod(0o700)
    for ready in (".venv/.ready", ".venv-emulator/.ready"):
        (folder / ready).touch()
    return folder


def make(checkout: Path, *arguments: str, **environment: str) -> list[list[str]]:
    """What the programs were called with."""
    record = checkout / "record"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PHOTOS"))}
    done = subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env={**clean, "RECORD": str(record), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\0")[:-1] for line in record.read_text().splitlines()]


@pytest.mark.parametrize(
    "name", ["photos", "Ana's photos", 'the "best" of $HOME', "a;b & c", "$(shell exit 1)", "`ls`"]
)
def test_photos_may_lie_in_a_folder_of_any_name(checkout: Path, name: str):
    wanted = ["-m", "petpark", "rehearse", "--photos", name]
    assert make(checkout, "demo", f"PHOTOS={name}")[-1] == wanted
    assert make(checkout, "demo", PHOTOS=name)[-1] == wanted


def test_without_photos_a_set_is_generated(checkout: Path):
    assert make(checkout, "demo", "KEEP=1")[-1] == ["-m", "petpark", "rehearse", "--keep"]


@pytest.mark.parametrize("target", ["setup", "demo", "test", "check"])
def test_a_system_that_cannot_run_it_is_told_before_anything_is_installed(checkout: Path, target: str):
    programs = checkout / "bin"
    programs.mkdir()
    (programs / "uname").write_text("#!/bin/sh\necho Darwin\n")
    (programs / "uname").chmod(0o700)
    (checkout / ".venv" / ".ready").unlink()
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    with pytest.raises(AssertionError, match=rf"make {target}: needs Linux.*make deploy-setup"):
        make(checkout, target, PATH=path)
    assert not (checkout / "record").exists()


def test_targets_that_fill_the_same_environment_wait_for_each_other(checkout: Path):
    (checkout / ".venv" / ".ready").unlink()
    called = make(checkout, "--jobs=4", "setup", "deploy-setup")
    synced = [call for call in called if "sync" in call or "--requirement" in call]
    assert [call[-1] for call in synced] == ["requirements/development.txt", "requirements/deploy.txt"]
    assert "--exact" not in synced[-1]  # that would take away what the first one installed


@pytest.mark.parametrize("folder", [".venv", ".venv-emulator"])
def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path, folder: str):
    python = checkout / folder / "bin" / "python"
    (checkout / folder / ".ready").unlink()
    python.unlink()
    python.symlink_to(checkout / "gone")
    uv = checkout / ".tools" / "bin" / "uv"
    remade = f'if [ "$1" = venv ]; then rm {folder}/bin/python && cp .tools/bin/python {folder}/bin/python; fi\n'
    uv.write_text(RECORD + remade)
    made = [call for call in make(checkout, "setup") if call[0] == "venv"]
    assert [(call[-1], "--clear" in call) for call in made] == [(folder, True)]
