"""The scripts are run here, by bash, with stand-ins for what would act on a machine or a cloud."""

import hashlib
import itertools
import json
import os
import shlex
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.instances.user_data import LIMIT_BYTES, Bundle, job_script, serving_script
from registry.layout.variables import Variable

BOOTSTRAP = (
    'echo "bootstrap $1 job=${PETPARK_JOB:-none} attempt=${PETPARK_ATTEMPT:-none} '
    'model=$PETPARK_MODEL region=$AWS_DEFAULT_REGION"\n'
)
LONG = "b" * 63
GROUP = "/petpark/test/x"
PLACES: dict[Variable, str] = {
    Variable.MODEL: "pets",
    Variable.MODEL_STORE: LONG,
    Variable.WORKSPACE: "work",
    Variable.LOG_GROUP: GROUP,
}


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
            "curl",
            'case "$*" in *api/token*) echo TOKEN ;; *TOKEN*petpark:job) echo job-7 ;; '
            "*TOKEN*petpark:attempt) echo job-7.1 ;; *TOKEN*instance-id) echo i-7 ;; *) exit 22 ;; esac",
        )
        # `timeout` is what it is, but tells of its calls. What is sent to S3 or CloudWatch lies below `sent`.
        self.fake("timeout", 'exec /usr/bin/timeout "$@"')
        (folder / "sent").mkdir()
        self.fake(
            "aws",
            f"""case "$*" in
  *boot.log*s3://*) cp "${{@: -2:1}}" {folder}/sent/boot.log ;;
  *put-log-events*) cp "$(echo "${{@: -1}}" | sed 's|^file://||')" {folder}/sent/boot.json ;;
  "logs create-log-stream"*) ;;
  *) cp {self.bundle} "${{@: -1}}" ;;
esac""",
        )

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

    def sent(self) -> list[str]:
        """Where what was said was sent to."""
        return [call.split()[-1] for call in self.calls if call.startswith("aws s3 cp") and "boot.log" in call]

    def ending_with(self, status: int, said: str = "") -> str:
        """Make a bundle that ends so; its hash."""
        with zipfile.ZipFile(self.bundle, "w") as bundle:
            bundle.writestr("bootstrap.sh", f"echo {shlex.quote(said)}; exit {status}\n")
        return hashlib.sha256(self.bundle.read_bytes()).hexdigest()

    def job(self, sha256: str | None = None, environment: Mapping[Variable, str] = PLACES) -> str:
        bundle = Bundle(bucket="work", key="code/test/x.zip", sha256=sha256 or self.sha256)
        return job_script(region="eu-west-1", bundle=bundle, environment=environment, max_minutes=90)

    def serving(self, sha256: str | None = None) -> str:
        bundle = Bundle(bucket="work", key="code/test/x.zip", sha256=sha256 or self.sha256)
        return serving_script(region="eu-west-1", bundle=bundle, environment=PLACES)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("purpose", ["job", "serving"])
def test_a_busy_machine_waits_longer_for_its_credentials_than_the_sdks_would(machine, purpose):
    with zipfile.ZipFile(machine.bundle, "w") as bundle:
        bundle.writestr("bootstrap.sh", "env | grep ^AWS_METADATA_SERVICE | sort\n")
    machine.sha256 = hashlib.sha256(machine.bundle.read_bytes()).hexdigest()
    done = machine.run(machine.job() if purpose == "job" else machine.serving())
    assert "AWS_METADATA_SERVICE_NUM_ATTEMPTS=5\nAWS_METADATA_SERVICE_TIMEOUT=5\n" in done.stdout


def test_a_job_sets_its_watchdog_runs_the_tagged_job_and_ends_the_instance(machine):
    done = machine.run(machine.job())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bootstrap job job=job-7 attempt=job-7.1 model=pets region=eu-west-1" in done.stdout
    assert machine.calls[0] == "shutdown -h +90"
    assert machine.calls[-1] == "shutdown -h now"
    assert machine.calls.count("shutdown -h now") == 1


def test_serving_starts_and_leaves_the_instance_running(machine):
    done = machine.run(machine.serving())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bootstrap serving job=none attempt=none model=pets" in done.stdout
    assert not [call for call in machine.calls if call.startswith(("shutdown", "curl"))]


def test_the_code_can_be_read_by_a_service_that_is_not_root_whatever_the_image_does_with_new_files(machine):
    done = machine.run(f"umask 077\n{machine.serving()}")
    assert done.returncode == 0, done.stdout
    for path in (machine.folder / "home", machine.folder / "home/code", machine.folder / "home/code/bootstrap.sh"):
        assert path.stat().st_mode & 0o005 >= 0o004, path


def test_what_happens_is_kept_in_a_file_too(machine):
    machine.run(machine.job())
    assert "petpark: job job-7" in (machine.folder / "home" / "boot.log").read_text()


def test_code_that_is_not_what_its_hash_says_is_never_run(machine):
    done = machine.run(machine.job(sha256="0" * 64))
    assert done.returncode == 1
    assert "refusing to run it" in done.stdout
    assert "bootstrap job" not in done.stdout
    assert machine.calls[-1] == "shutdown -h now"


def test_code_that_cannot_be_fetched_yet_is_asked_for_again_a_limited_number_of_times(machine):
    machine.fake("aws", "exit 1")
    done = machine.run(machine.job())
    assert done.returncode == 1
    assert "cannot be fetched from s3://work/code/test/x.zip" in done.stdout
    fetches = [call for call in machine.calls if call.startswith("aws s3 cp --only-show-errors s3://")]
    assert len(fetches) == 6
    assert [call for call in machine.calls if call.startswith("sleep")] == [f"sleep {s}" for s in (2, 4, 8, 16, 32)]
    assert machine.calls[-1] == "shutdown -h now"


def test_code_that_can_be_fetched_at_the_second_try_is_run(machine):
    machine.fake(
        "aws",
        f'if mkdir {machine.folder}/tried 2> /dev/null; then exit 1; fi; cp {machine.bundle} "${{@: -1}}"',
    )
    assert "bootstrap job" in machine.run(machine.job()).stdout


def test_a_job_that_fails_ends_its_instance_all_the_same(machine):
    done = machine.run(machine.job(sha256=machine.ending_with(7)))
    assert done.returncode == 7
    assert "ended with status 7" in done.stdout
    assert machine.calls[-1] == "shutdown -h now"


def test_what_a_job_said_that_failed_is_kept_with_its_job_to_the_last_word(machine):
    done = machine.run(machine.job(sha256=machine.ending_with(7, said="no space left")))
    assert machine.sent() == ["s3://work/jobs/job-7/boots/i-7.log"]
    kept = (machine.folder / "sent" / "boot.log").read_text().splitlines()
    assert kept == ["petpark: job job-7 on i-7", "no space left", "petpark: job ended with status 7"]
    assert "stored as jobs/job-7/boots/i-7.log" in done.stdout


def test_code_that_cannot_be_fetched_or_is_refused_leaves_its_reason_with_the_job(machine):
    machine.run(machine.job(sha256="0" * 64))
    assert "refusing to run it" in (machine.folder / "sent" / "boot.log").read_text()


def test_what_an_endpoint_said_that_could_not_be_started_is_kept_in_its_log_group(machine):
    done = machine.run(machine.serving(sha256=machine.ending_with(5, said="no\n\nspace \xff")))
    assert done.returncode == 5
    kept = json.loads((machine.folder / "sent" / "boot.json").read_text())
    said = [event["message"] for event in kept]
    assert said[:3] == ["no", " ", "space \xff"], "no event may be empty"
    assert "could not be started: status 5" in said[-1]
    (call,) = [call for call in machine.calls if call.startswith("aws logs put-log-events")]
    assert f"--log-group-name {GROUP} --log-stream-name boot/i-7 " in call
    assert not [call for call in machine.calls if call.startswith("shutdown")]


def test_an_endpoint_that_says_a_lot_stays_within_what_one_call_takes(machine):
    machine.run(machine.serving(sha256=machine.ending_with(5, said="\n".join(["é" * 3000] * 600))))
    kept = json.loads((machine.folder / "sent" / "boot.json").read_text())
    assert len(kept) == 500
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html: 26 bytes an event
    assert sum(len(event["message"].encode()) + 26 for event in kept) <= 1_048_576


@pytest.mark.parametrize("purpose", ["job", "serving"])
@pytest.mark.parametrize("how", ["exit 255", "kill -9 $$"])
def test_what_cannot_be_sent_keeps_nothing_from_ending(machine, purpose, how):
    sha256 = machine.ending_with(7)
    machine.fake("aws", f'case "$*" in *boot*|*logs*) {how} ;; *) cp {machine.bundle} "${{@: -1}}" ;; esac')
    script = machine.job(sha256=sha256) if purpose == "job" else machine.serving(sha256=sha256)
    done = machine.run(script)
    assert done.returncode == 7
    assert "could not be stored" in done.stdout
    assert "log stored" not in done.stdout
    assert (machine.calls[-1] == "shutdown -h now") is (purpose == "job")


@pytest.mark.parametrize("purpose", ["job", "serving"])
def test_sending_has_a_limit_in_time(machine, purpose):
    sha256 = machine.ending_with(7)
    machine.run(machine.job(sha256=sha256) if purpose == "job" else machine.serving(sha256=sha256))
    unlimited = [
        call
        for before, call in itertools.pairwise(["", *machine.calls])
        if call.startswith("aws") and not before.startswith("timeout")
    ]
    assert unlimited == []


@pytest.mark.parametrize("purpose", ["job", "serving"])
def test_what_went_well_sends_nothing(machine, purpose):
    machine.run(machine.job() if purpose == "job" else machine.serving())
    assert list((machine.folder / "sent").iterdir()) == []


def test_an_instance_that_cannot_have_a_watchdog_ends(machine):
    machine.fake("shutdown", 'case "$*" in *+*) exit 1 ;; esac')
    assert machine.run(machine.job()).returncode == 1
    assert machine.calls[-1] == "shutdown -h now"
    assert not [call for call in machine.calls if call.startswith("curl")]


def test_an_instance_without_a_job_ends(machine):
    machine.fake("curl", 'case "$*" in *api/token*) echo TOKEN ;; *instance-id) echo i-7 ;; *) exit 22 ;; esac')
    done = machine.run(machine.job())
    assert done.returncode == 22
    assert "s3://work/jobs/none/boots/i-7.log" in machine.sent()
    assert machine.calls[-1] == "shutdown -h now"


def test_the_metadata_service_is_asked_where_the_environment_says(machine):
    machine.run(machine.job(), AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.9:80/")
    asked = [call for call in machine.calls if call.startswith("curl")]
    assert len(asked) == 6
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
    for script in (machine.job(environment=everything), machine.serving()):
        assert len(script.encode()) < LIMIT_BYTES / 2
        subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=True, timeout=60)


def test_what_is_deployed_is_what_is_tested_here(deployments):
    script = deployments["test"].named("endpoint-instance").inputs["userData"]
    variables = {
        line.split("=")[0].removeprefix("export ") for line in script.splitlines() if line.startswith("export PETPARK")
    }
    told = {Variable.MODEL_STORE, Variable.MODEL, Variable.CHANNEL, Variable.SIGNING_KEY, Variable.REQUIRE_CERTIFICATE}
    told |= {Variable.LOG_GROUP, Variable.PORT, Variable.POLL_SECONDS, Variable.SLOW_MILLISECONDS, Variable.HOME}
    told |= {Variable.API_KEYS, Variable.API_KEYS_PREFIX, Variable.GRPC_PORT, Variable.PROVIDERS}
    told |= {Variable.DATA_LAKE, Variable.STACK, Variable.TELEMETRY}
    told |= {Variable.PROMOTER_ROLE, Variable.CHANNEL_RULE, Variable.HEALTH_PORT, Variable.BEHIND_LOAD_BALANCER}
    assert variables == {str(variable) for variable in told}
    assert script.startswith("#!/bin/bash\n")
    assert os.linesep * 3 not in script
