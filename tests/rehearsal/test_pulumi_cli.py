"""The rehearsal's engine by the Pulumi CLI, over a program that stands for it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from petpark.errors import PulumiFailed, PulumiMissing
from rehearsal import pulumi_process
from rehearsal.engine import Cancelled, DeploymentFailed, EndpointRefused, Event
from rehearsal.pulumi_cli import PulumiEngine, find_cli
from tests.pulumi_stand_in import PARSE, RECORD, REPOSITORY, SCRIPT, VERSION, calls, install

URN = "urn:pulumi:test::petpark::aws:s3/bucket:Bucket::photos"
SEALED = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
DEADLINE = 60.0


@dataclass
class Stage:
    """A project, a stand-in on the PATH, and what it is to do."""

    folder: Path
    heard: list[Event] = field(default_factory=list[Event])

    @property
    def project(self) -> Path:
        return self.folder / "it's the project"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def record(self) -> Path:
        return self.folder / "record"

    def script(self, **operations: Any) -> None:
        """How operations end from now on: `up={...}`."""
        (self.folder / "script").write_text(json.dumps(operations))

    def engine(self, **settings: Any) -> PulumiEngine:
        return PulumiEngine(
            self.project,
            state_dir=self.state,
            config={"test": {"aws:endpoints": "http://127.0.0.1:4566", **settings}},
            environment={"AWS_ACCESS_KEY_ID": "test"},
            passphrase="rehearsal",
            on_event=self.heard.append,
        )

    def operations(self) -> list[str]:
        """The commands that were called."""
        return [" ".join(call.words[1:]) for call in calls(self.record)]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(tmp_path)
    made.project.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.test.yaml", "Pulumi.prod.yaml", "__main__.py"):
        shutil.copy(REPOSITORY / name, made.project)
    (made.project / "infra").mkdir()
    (made.project / ".venv").mkdir()
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    program = install(tmp_path / "unpacked" / "pulumi")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(RECORD, str(made.record))
    monkeypatch.setenv(SCRIPT, str(tmp_path / "script"))
    made.script()
    return made


def test_an_operation_tells_its_counts_its_steps_and_its_outputs(stage: Stage) -> None:
    stage.script(
        up={"changes": {"create": 2}, "outputs": {"port": 1, "word": "hidden"}, "secrets": ["word"], "finished": [URN]}
    )
    update = stage.engine().up("test")
    assert (update.ok, update.kind, update.stack, update.changes) == (True, "up", "test", {"create": 2})
    assert update.outputs == {"port": 1, "word": "[secret]"}
    assert [(step.op, step.urn, step.type, step.name) for step in update.steps] == [
        ("create", URN, "aws:s3/bucket:Bucket", "photos")
    ]
    assert [(event.kind, event.text) for event in stage.heard] == [("finished", URN)]


def test_each_operation_is_one_command_that_asks_nothing(stage: Stage) -> None:
    stage.script(
        preview={"changes": {"same": 1}}, refresh={"changes": {"update": 1}}, destroy={"changes": {"delete": 1}}
    )
    engine = stage.engine()
    assert engine.preview("test").changes == {"same": 1}
    assert engine.up("test").changes == {}
    assert engine.refresh("test").changes == {"update": 1}
    assert engine.destroy("test").changes == {"delete": 1}
    done = [words for words in stage.operations() if words.endswith("--json --stack test") and "output" not in words]
    assert done == [
        "preview --json --stack test",
        "up --yes --skip-preview --json --stack test",
        "refresh --yes --skip-preview --json --stack test",
        "destroy --yes --skip-preview --json --stack test",
    ]
    assert stage.operations().count("stack init test --no-select") == 1
    assert all(call.words[0] == "--non-interactive" for call in calls(stage.record))


def test_what_a_stack_consists_of_is_told_without_its_secrets(stage: Stage) -> None:
    bucket = {"urn": URN, "type": "aws:s3/bucket:Bucket", "custom": True, "id": "photos-1", "parent": "urn:p"}
    outputs = {"bucket": "photos-1", "key": SEALED, "deep": [{"in": SEALED}]}
    stage.script(
        up={"resources": [bucket | {"dependencies": ["urn:d"], "outputs": outputs}, {"urn": "u::n", "type": "t"}]}
    )
    engine = stage.engine()
    engine.up("test")
    found = engine.resources("test")
    assert [(one.name, one.id, one.parent, one.dependencies) for one in found] == [
        ("photos", "photos-1", "urn:p", ("urn:d",)),
        ("n", "", "", ()),
    ]
    assert found[0].outputs == {"bucket": "photos-1"}


def test_a_stack_that_was_never_deployed_has_nothing(stage: Stage) -> None:
    assert stage.engine().outputs("test") == {}
    assert stage.engine().resources("test") == []


def test_what_failed_is_told_in_the_clis_words(stage: Stage) -> None:
    stage.script(up={"changes": {"create": 1}, "errors": ["BucketAlreadyExists: photos", "update failed"]})
    with pytest.raises(DeploymentFailed, match="BucketAlreadyExists") as failure:
        stage.engine().up("test")
    update = failure.value.update
    assert (update.ok, update.changes) == (False, {"create": 1})
    assert update.errors == ("BucketAlreadyExists: photos", "update failed")
    assert [event.text for event in stage.heard if event.severity == "error"] == list(update.errors)


def test_what_the_cli_says_on_standard_error_is_told_where_no_event_says_it(stage: Stage) -> None:
    stage.script(up={"says": "no space left on device"})
    with pytest.raises(DeploymentFailed, match="no space left on device"):
        stage.engine().up("test")


def test_a_cli_that_is_killed_leaves_neither_processes_nor_a_lock(stage: Stage) -> None:
    stage.script(up={"crash": True, "children": 2})
    with pytest.raises(DeploymentFailed):
        stage.engine().up("test")
    stage.script(up={"changes": {"same": 1}})
    assert stage.engine().up("test").changes == {"same": 1}


def all_ended(pids: list[int]) -> bool:
    """Wait until all of them have ended."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], DEADLINE)[0]:
                return False
        finally:
            os.close(handle)
    return True


def begun(told: Path, alive: Callable[[], bool]) -> list[int]:
    """The processes of an operation under way, once it is."""
    pause = threading.Event()
    while not told.exists():
        assert alive()
        pause.wait(0.02)
    return json.loads(told.read_text())


@pytest.mark.parametrize("ignores", [[], ["SIGTERM"]], ids=["ends when asked", "ignores it"])
def test_cancelling_ends_every_process_and_unlocks_the_stack(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, ignores: list[str]
) -> None:
    monkeypatch.setattr(pulumi_process, "STOP_SECONDS", 5.0 if not ignores else 0.1)
    told = stage.folder / "told"
    stage.script(up={"waits": str(told), "children": 2, "ignores": ignores})
    engine = stage.engine()
    failures: list[BaseException] = []

    def deploy() -> None:
        try:
            engine.up("test")
        except DeploymentFailed as failure:
            failures.append(failure)

    thread = threading.Thread(target=deploy)
    thread.start()
    pids = begun(told, thread.is_alive)
    assert len(pids) == 3
    engine.cancel()
    assert all_ended(pids)
    thread.join(DEADLINE)
    assert len(failures) == 1
    with pytest.raises(Cancelled):
        engine.up("test")
    stage.script(up={"changes": {"same": 1}})
    assert stage.engine().up("test").changes == {"same": 1}, "the stack is unlocked"


_REHEARSAL = """
import sys
from pathlib import Path
from rehearsal import pulumi_process
from rehearsal.pulumi_cli import PulumiEngine
from rehearsal.run import Terminated, _termination_raises

pulumi_process.STOP_SECONDS = 0.1
config = {"test": {"aws:endpoints": "http://127.0.0.1:4566"}}
engine = PulumiEngine(
    Path(sys.argv[1]), state_dir=Path(sys.argv[2]), config=config, environment={}, passphrase="rehearsal"
)
with _termination_raises():
    try:
        engine.up("test")
    except Terminated:
        engine.cancel()
        sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_rehearsal_that_is_ended_takes_the_cli_with_it(stage: Stage, number: signal.Signals) -> None:
    told = stage.folder / "told"
    stage.script(up={"waits": str(told), "children": 1, "ignores": ["SIGTERM"]})
    rehearsal = subprocess.Popen(
        [sys.executable, "-c", _REHEARSAL, stage.project, stage.state],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    pids = begun(told, lambda: rehearsal.poll() is None)
    rehearsal.send_signal(number)
    ended = rehearsal.wait(DEADLINE)
    if number is signal.SIGTERM:
        assert ended == 7
        assert all_ended(pids)
        stage.script(up={"changes": {"same": 1}})
        assert stage.engine().up("test").changes == {"same": 1}, "the stack is unlocked"
    else:  # nobody is left to end what the CLI started, which its own plugins do when they lose it
        assert all_ended(pids[:1])
        os.kill(pids[1], signal.SIGKILL)


def test_nothing_is_installed_and_the_checkout_is_not_written_to(stage: Stage) -> None:
    before = {file: file.read_bytes() for file in stage.project.iterdir() if file.is_file()}
    stage.engine(**{"petpark:model": "birds"}).up("test")
    assert {file: file.read_bytes() for file in stage.project.iterdir() if file.is_file()} == before
    mirror = stage.state / "projects" / "test"
    runtime = yaml.safe_load((mirror / "Pulumi.yaml").read_text())["runtime"]
    assert runtime == {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}}
    assert (mirror / "infra").resolve() == stage.project / "infra"
    assert not (mirror / ".venv").exists()
    assert not (mirror / "Pulumi.prod.yaml").exists()
    settings = yaml.safe_load((mirror / "Pulumi.test.yaml").read_text())
    assert settings["config"]["petpark:model"] == "birds"
    assert "aws:endpoints" not in settings["config"]


def test_a_mirror_is_used_again_with_the_project_and_the_settings_as_they_are_now(stage: Stage) -> None:
    stage.engine().up("test")
    mirror = stage.state / "projects" / "test"
    salt = yaml.safe_load((mirror / "Pulumi.test.yaml").read_text())["encryptionsalt"]
    (stage.project / "infra").rmdir()
    (stage.project / "registry").mkdir()
    stage.engine(**{"petpark:model": "birds"}).up("test")
    settings = yaml.safe_load((mirror / "Pulumi.test.yaml").read_text())
    assert (settings["encryptionsalt"], settings["config"]["petpark:model"]) == (salt, "birds")
    assert (mirror / "registry").exists()
    assert not (mirror / "infra").is_symlink()


def test_the_cli_sees_the_emulator_and_its_own_folder_and_not_the_callers_backend(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("pulumi")
    assert program is not None
    (link := stage.folder / "linked" / "pulumi").parent.mkdir()
    link.symlink_to(program)
    monkeypatch.setenv("PATH", f"{link.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://a-real-one")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(stage.folder / "nowhere"))
    stage.engine().up("test")
    for call in calls(stage.record)[1:]:  # the first one asks for the version
        seen = call.environment
        assert seen["PATH"].split(os.pathsep)[:2] == [str(link.parent), str(Path(program).parent)]
        assert seen["PULUMI_BACKEND_URL"] == (stage.state / "backend").as_uri()
        assert seen["PULUMI_CONFIG_PASSPHRASE"] == "rehearsal"
        assert seen["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
        assert seen["AWS_ACCESS_KEY_ID"] == "test"
        assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in seen


def test_the_cli_that_set_up_fetched_finds_its_plugins(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = install(stage.folder / ".tools" / "pulumi" / "3.272.0" / "bin")
    (home := stage.folder / ".tools" / "pulumi" / "home").mkdir()
    monkeypatch.setenv("PATH", f"{fetched.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    stage.engine().preview("test")
    assert calls(stage.record)[-1].environment["PULUMI_HOME"] == str(stage.folder / "home")
    (home / "plugins").mkdir()
    stage.engine().preview("test")
    assert calls(stage.record)[-1].environment["PULUMI_HOME"] == str(home)


def test_a_refused_command_is_told_with_what_to_do(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    (stage.project / "Pulumi.test.yaml").write_text("config: {}\n")
    monkeypatch.setenv(PARSE, "1")  # every command then prints nothing
    with pytest.raises(PulumiFailed, match="unknown"):
        stage.engine()


def test_only_loopback_is_deployed_to(stage: Stage) -> None:
    with pytest.raises(EndpointRefused):
        stage.engine(**{"aws:endpoints": "https://s3.amazonaws.com"})


@pytest.mark.parametrize("version", ["v3.150.0", "v3.274.1", "v3.999.0-alpha.1+abc"])
def test_a_version_that_can_do_it_is_used(stage: Stage, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv(VERSION, version)
    assert find_cli() == stage.folder / "unpacked" / "pulumi" / "pulumi"


@pytest.mark.parametrize("version", ["v3.149.9", "v2.300.0", "v4.0.0", "dirty", ""])
@pytest.mark.usefixtures("stage")
def test_any_other_version_is_refused_with_both_ways_out(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv(VERSION, version)
    with pytest.raises(PulumiFailed, match=r"is version|is not a version") as refused:
        find_cli()
    assert "--install-pulumi" in refused.value.next_step
    assert "--engine embedded" in refused.value.next_step


def test_without_the_cli_the_sentence_says_both_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PulumiMissing) as missing:
        find_cli()
    assert "--engine embedded" in missing.value.next_step
