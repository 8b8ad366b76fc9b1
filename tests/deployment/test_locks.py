"""Every group of dependencies resolves, and every lock is what its inputs ask for."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.pulumi_stand_in import REPOSITORY

PROJECT: Mapping[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
GROUPS: Mapping[str, list[Any]] = PROJECT["dependency-groups"]
LOCKS = REPOSITORY / "requirements"
UV = REPOSITORY / ".tools" / "bin" / "uv"
LOCKED = ("training", "serving", "camera")
"""Groups with a lock of their own; all of the others are in the development lock."""


def group(name: str) -> Iterator[Requirement]:
    """What a group asks for, with the groups that it includes."""
    for entry in GROUPS[name]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from group(entry["include-group"])


def included(name: str) -> set[str]:
    """The groups that a group includes, itself among them."""
    inner = [entry["include-group"] for entry in GROUPS[name] if not isinstance(entry, str)]
    return {name}.union(*(included(other) for other in inner))


def listed(file: Path) -> list[Requirement]:
    """The requirements of an input file."""
    lines = [line.strip() for line in file.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def inputs(lock: str) -> list[Requirement]:
    """What a lock was made from."""
    own = [Requirement(entry) for entry in PROJECT["project"]["dependencies"]]
    if lock == "development":
        return [*own, *group("dev")]
    if lock == "deploy":
        return [*own, *group("deploy")]
    return list(group(lock)) if lock in LOCKED else listed(LOCKS / f"{lock}.in")


def pins(lock: str) -> dict[str, str]:
    """Name to version."""
    found = re.findall(
        r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s\\;]+)", (LOCKS / f"{lock}.txt").read_text(), re.MULTILINE
    )
    return {canonicalize_name(name): version for name, version in found}


OF_INPUT_FILES = ("benchmarks", "emulator", "localemu", "ministack", "mutants")
EVERY_LOCK = (*OF_INPUT_FILES, *LOCKED, "deploy", "development")


def test_every_lock_is_known_here() -> None:
    assert {file.stem for file in LOCKS.glob("*.txt")} - {"overrides", "tools"} == set(EVERY_LOCK)
    assert {file.stem for file in LOCKS.glob("*.in")} == set(OF_INPUT_FILES)


@pytest.mark.parametrize("lock", [*EVERY_LOCK, "tools"])
def test_a_lock_has_a_hash_for_each_version_and_names_no_host(lock: str) -> None:
    text = (LOCKS / f"{lock}.txt").read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert blocks
    for block in blocks:
        assert re.match(r"[A-Za-z0-9_.\[\],-]+==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert not re.search(r"://|--index-url|--find-links", text)


@pytest.mark.parametrize("lock", EVERY_LOCK)
def test_a_lock_has_what_its_inputs_ask_for(lock: str) -> None:
    versions = pins(lock)
    for asked in inputs(lock):
        name = canonicalize_name(asked.name)
        assert name in versions, f"{lock}.txt lacks {asked}: make lock UPGRADE="
        assert asked.specifier.contains(versions[name], prereleases=True), f"{lock}.txt has {name} {versions[name]}"


def test_what_is_deployed_is_a_part_of_the_development_environment() -> None:
    # Both are installed into .venv: were they to differ, each target would undo the other.
    development = pins("development")
    differing = {name: version for name, version in pins("deploy").items() if development.get(name) != version}
    assert differing == {}
    assert {"torch", "onnxruntime", "pytest"} & pins("deploy").keys() == set()
    assert {"pip", "pulumi", "pulumi-aws"} <= pins("deploy").keys()


def test_every_group_lives_beside_the_others() -> None:
    # `uv sync` resolves all groups together: one that cannot gets an input file of its own in requirements/.
    assert included("dev") == set(GROUPS)
    assert PROJECT["tool"]["uv"]["default-groups"] == ["deploy"]


def as_wheels(found: Iterable[Distribution], folder: Path) -> None:
    """An index of wheels with nothing in them but what a resolver reads."""
    for distribution in found:
        name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"]).lower()
        stem = f"{name}-{distribution.version}"
        if name == "petpark":
            continue
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", distribution.read_text("METADATA") or "")
            wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{stem}.dist-info/RECORD", "")


def resolved(*words: str, wheels: Path, folder: Path) -> dict[str, str]:
    """What uv resolves from these wheels alone."""
    options = ("--quiet", "--no-header", "--no-annotate", "--offline", "--no-index", "--no-config")
    python = REPOSITORY / ".venv" / "bin" / "python"
    places = ("--find-links", wheels, "--cache-dir", folder / "cache", "--python", python)
    done = subprocess.run(
        [UV, "pip", "compile", *options, *places, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.partition("==") for line in done.stdout.splitlines() if "==" in line]
    return {canonicalize_name(name.partition("[")[0]): version.split()[0] for name, _, version in lines}


def test_all_groups_together_and_each_alone_resolve_to_the_locked_versions(tmp_path: Path) -> None:
    (wheels := tmp_path / "wheels").mkdir()
    as_wheels(distributions(), wheels)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (project := tmp_path / "overrides.txt").write_text("\n".join(PROJECT["tool"]["uv"]["override-dependencies"]))
    overrides = ("--overrides", str(LOCKS / "overrides.txt"), "--overrides", str(project))
    development = pins("development")
    for asked in (["--group", "dev"], *(["--group", name] for name in GROUPS)):
        found = resolved("pyproject.toml", *asked, *overrides, wheels=wheels, folder=tmp_path)
        assert found.items() <= development.items(), asked
    deploy = resolved("pyproject.toml", "--group", "deploy", *overrides, wheels=wheels, folder=tmp_path)
    assert deploy == pins("deploy")


def test_the_emulators_input_file_resolves_to_its_lock(tmp_path: Path) -> None:
    site = next((REPOSITORY / ".venv-emulator" / "lib").glob("python*/site-packages"))
    (wheels := tmp_path / "wheels").mkdir()
    as_wheels(distributions(path=[str(site)]), wheels)
    assert resolved(str(LOCKS / "emulator.in"), wheels=wheels, folder=tmp_path) == pins("emulator")


@pytest.mark.parametrize("complete", [True, False], ids=["beside make setup", "alone"])
def test_the_deploy_target_removes_nothing_from_the_environment_of_make_setup(tmp_path: Path, complete: bool) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for stamp in [".tools/bin/uv"] + [".venv/.ready"] * complete:
        (tmp_path / stamp).parent.mkdir(parents=True)
        (tmp_path / stamp).touch()
    said = subprocess.run(
        ["make", "-n", "deploy-setup"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "--require-hashes" in said
    assert "requirements/deploy.txt" in said
    assert "pip sync" not in said
    assert ("--exact" in said) is not complete


def test_the_preview_workflow_installs_by_the_same_target_and_nothing_else() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "preview.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert "make deploy-setup" in commands
    assert not [command for command in commands if re.search(r"pip|uv ", command)]


def workflows() -> dict[str, Any]:
    folder = REPOSITORY / ".github" / "workflows"
    return {file.name: yaml.safe_load(file.read_text()) for file in sorted(folder.glob("*.yml"))}


def test_workflows_run_make_petpark_and_the_one_script_and_actions_are_pinned_by_hash() -> None:
    for name, workflow in workflows().items():
        for step in (step for job in workflow["jobs"].values() for step in job["steps"]):
            if "run" in step:
                assert re.fullmatch(r"(make|\.venv/bin/petpark|bash \.ci/run)( [\w./^-]+)*", step["run"]), (name, step)
            else:
                assert re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40}", step["uses"]), (name, step)


def test_no_workflow_checks_out_what_a_fork_wrote_with_a_token_that_may_write() -> None:
    for name, workflow in workflows().items():
        triggers = workflow[True]  # YAML 1.1 reads `on` as true
        assert "pull_request_target" not in triggers, name
        for job in workflow["jobs"].values():
            assert job.get("permissions", workflow["permissions"]) != "write-all", name
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False, name
                    # Under `workflow_run` and `schedule` the default is the default branch.
                    assert not step["with"].keys() & {"ref", "repository"}, name


def test_the_preview_workflow_uses_the_pulumi_cli_that_petpark_fetches_and_checks() -> None:
    plan = workflows()["preview.yml"]["jobs"]["plan"]
    commands = [step["run"] for step in plan["steps"] if "run" in step]
    assert ".venv/bin/petpark doctor --install-pulumi" in commands
    assert not [step for step in plan["steps"] if "pulumi" in step.get("uses", "")]
