"""The scripts are run here, by bash, with stand-ins for what would act on a machine or a cloud."""

import hashlib
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.user_data import LIMIT_BYTES, Bundle, serving_script, training_script
from registry.layout import Variable

BOOTSTRAP = 'echo "bootstrap $1 job=${PETPARK_JOB:-none} model=$PETPARK_MODEL region=$AWS_DEFAULT_REGION"\n'
LONG = "b" * 63
PLACES: dict[Variable, str] = {Variable.MODEL: "pets", Variable.MODEL_STORE: LONG}


class Machine:
    """A folder in which a script runs as it would on an instance; `calls` is what it did to the world."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = folder / "commands"
        self.commands.mkdir()
        self.bundle = folder / "bundle.zip"
        with zipfile.ZipFile(self.bundle, "w") as bundle:
            bundle.writestr("bootstrap.sh", BOOTSTRAP)
        self.sha256 = hashlib.sha256(self.bundle.read_bytes()).hexdigest()
        self.fake("shutdown", "exit 0")
        self.fake("sleep", "exit 0")
        self.fake(
            "curl", 'case "$*" in *api/token*) echo TOKEN ;; *TOKEN*petpark:job) echo job-7 ;; *) exit 22 ;; esac'
        )
        self.fake("aws", f'cp {self.bundle} "${{@: -1}}"')

    def fake(self, name: str, body: str) -> None:
        script = self.commands / name
        script.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.folder}/calls\n{body}\n')
        script.chmod(0o755)

    def run(self, script: str, *, home: str = "home", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "-c", script],
            env={"PATH": f"{self.commands}:/usr/bin:/bin", "PETPARK_HOME": str(self.folder / home), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    def training(self, sha256: str | None = None, environment: Mapping[Variable, str] = PLACES) -> str:
        bundle = Bundle(bucket="work", key="code/test/x.zip", sha256=sha256 or self.sha256)
        return training_script(region="eu-west-1", bundle=bundle, environment=environment, max_minutes=90)

    def serving(self) -> str:
        bundle = Bundle(bucket="work", key="code/test/x.zip", sha256=self.sha256)
        return serving_script(region="eu-west-1", bundle=bundle, environment=PLACES)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("purpose", ["training", "serving"])
def test_a_busy_machine_waits_longer_for_its_credentials_than_the_sdks_would(machine, purpose):
    with zipfile.ZipFile(machine.bundle, "w") as bundle:
        bundle.writestr("bootstrap.sh", "env | grep ^AWS_METADATA_SERVICE | sort\n")
    machine.sha256 = hashlib.sha256(machine.bundle.read_bytes()).hexdigest()
    done = machine.run(machine.training() if purpose == "training" else machine.serving())
    assert "AWS_METADATA_SERVICE_NUM_ATTEMPTS=5\nAWS_METADATA_SERVICE_TIMEOUT=5\n" in done.stdout


def test_training_sets_its_watchdog_runs_the_tagged_job_and_ends_the_instance(machine):
    done = machine.run(machine.training())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bootstrap training job=job-7 model=pets region=eu-west-1" in done.stdout
    assert machine.calls[0] == "shutdown -h +90"
    assert machine.calls[-1] == "shutdown -h now"
    assert machine.calls.count("shutdown -h now") == 1


def test_serving_starts_and_leaves_the_instance_running(machine):
    done = machine.run(machine.serving())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bootstrap serving job=none model=pets" in done.stdout
    assert not [call for call in machine.calls if call.startswith(("shutdown", "curl"))]


def test_the_code_can_be_read_by_a_service_that_is_not_root_whatever_the_image_does_with_new_files(machine):
    done = machine.run(f"umask 077\n{machine.serving()}")
    assert done.returncode == 0, done.stdout
    for path in (machine.folder / "home", machine.folder / "home/code", machine.folder / "home/code/bootstrap.sh"):
        assert path.stat().st_mode & 0o005 >= 0o004, path


def test_what_happens_is_kept_in_a_file_too(machine):
    machine.run(machine.training())
    assert "petpark: job job-7" in (machine.folder / "home" / "boot.log").read_text()


def test_code_that_is_not_what_its_hash_says_is_never_run(machine):
    done = machine.run(machine.training(sha256="0" * 64))
    assert done.returncode == 1
    assert "refusing to run it" in done.stdout
    assert "bootstrap training" not in done.stdout
    assert machine.calls[-1] == "shutdown -h now"


def test_code_that_cannot_be_fetched_yet_is_asked_for_again_a_limited_number_of_times(machine):
    machine.fake("aws", "exit 1")
    done = machine.run(machine.training())
    assert done.returncode == 1
    assert "cannot be fetched from s3://work/code/test/x.zip" in done.stdout
    assert len([call for call in machine.calls if call.startswith("aws")]) == 6
    assert [call for call in machine.calls if call.startswith("sleep")] == [f"sleep {s}" for s in (2, 4, 8, 16, 32)]
    assert machine.calls[-1] == "shutdown -h now"


def test_code_that_can_be_fetched_at_the_second_try_is_run(machine):
    machine.fake(
        "aws",
        f'if mkdir {machine.folder}/tried 2> /dev/null; then exit 1; fi; cp {machine.bundle} "${{@: -1}}"',
    )
    assert "bootstrap training" in machine.run(machine.training()).stdout


def test_a_job_that_fails_ends_its_instance_all_the_same(machine):
    with zipfile.ZipFile(machine.bundle, "w") as bundle:
        bundle.writestr("bootstrap.sh", "exit 7\n")
    done = machine.run(machine.training(sha256=hashlib.sha256(machine.bundle.read_bytes()).hexdigest()))
    assert done.returncode == 7
    assert "ended with status 7" in done.stdout
    assert machine.calls[-1] == "shutdown -h now"


def test_an_instance_without_a_job_ends(machine):
    machine.fake("curl", 'case "$*" in *api/token*) echo TOKEN ;; *) exit 22 ;; esac')
    done = machine.run(machine.training())
    assert done.returncode == 22
    assert machine.calls[-1] == "shutdown -h now"


def test_the_metadata_service_is_asked_where_the_environment_says(machine):
    machine.run(machine.training(), AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.9:80/")
    asked = [call for call in machine.calls if call.startswith("curl")]
    assert len(asked) == 2
    assert all(" http://127.0.0.9:80/latest/" in call for call in asked)
    assert all("--max-time 5" in call and "--retry 8" in call for call in asked)


def test_old_code_makes_room_for_new(machine):
    machine.run(machine.serving())
    left = machine.folder / "home" / "code" / "left.py"
    left.write_text("old")
    machine.run(machine.serving())
    assert not left.exists()


@given(
    st.dictionaries(
        st.sampled_from(list(Variable)), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=63)
    )
)
def test_any_value_reaches_the_environment_as_it_is(environment):
    script = serving_script(region="r", bundle=Bundle(bucket="b", key="k", sha256="0"), environment=environment)
    probe = script[script.index("export AWS") : script.index('archive="$PETPARK_HOME')] + "env -0"
    shown = subprocess.run(["/bin/bash", "-c", probe], env={}, capture_output=True, timeout=60, check=True).stdout
    found = dict(line.split(b"=", 1) for line in shown.split(b"\0") if b"=" in line)
    assert {name: found[name.encode()].decode() for name in environment} == dict(environment)


def test_the_scripts_stay_far_below_ec2s_limit_and_are_bash(machine):
    everything = dict.fromkeys(Variable, "v" * 128)
    for script in (machine.training(environment=everything), machine.serving()):
        assert len(script.encode()) < LIMIT_BYTES / 2
        subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=True, timeout=60)


def test_what_is_deployed_is_what_is_tested_here(deployments):
    script = deployments["test"].named("endpoint-instance").inputs["userData"]
    variables = {
        line.split("=")[0].removeprefix("export ") for line in script.splitlines() if line.startswith("export PETPARK")
    }
    told = {Variable.MODEL_STORE, Variable.MODEL, Variable.CHANNEL, Variable.SIGNING_KEY, Variable.REQUIRE_CERTIFICATE}
    told |= {Variable.LOG_GROUP, Variable.PORT, Variable.POLL_SECONDS, Variable.HOME}
    told |= {Variable.API_KEYS, Variable.API_KEYS_PATH, Variable.GRPC_PORT, Variable.PROVIDERS}
    told |= {Variable.PROMOTER_ROLE, Variable.CHANNEL_RULE}
    assert variables == {str(variable) for variable in told}
    assert script.startswith("#!/bin/bash\n")
    assert os.linesep * 3 not in script
