"""Both stacks of the real program in the emulator, deployed and taken down by README's commands; their trainings."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from petpark.jobs import execution_events, executions, submission
from petpark.jobs.submission import EpochFinished, Finished
from registry.gates import MODEL_GATES
from registry.layout.jobs import JOB_TAG, epochs_prefix, job_prefix, job_spec_key
from registry.layout.roles import Role
from registry.version import Version
from registry.versions.catalog import Catalog
from rehearsal.environment import STACKS, Environment
from tests.rehearsal import delivery_roles
from tests.rehearsal.deploy_steps import LEFT_OUT, Deployed, Steps
from training.dataset.generated import generate
from training.job import JobSpec

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(600)]

ASKS_NOTHING = {
    "accuracy": 0, "recall": 0, "slice_gap": 1, "calibration_error": 1, "robustness_drop": 1, "consistency": 0,
    "abstention_coverage": 0, "abstention_kept": 0, "abstention_refused_far": 0, "abstention_refused_near": 0,
    "luck": 0, "milliseconds": 0,
}  # fmt: skip
"""Gates for models of three epochs: they could not go to prod by those that the YAML ships."""
SETTINGS = {"test": {"petpark:gates": {"data": {}, "model": ASKS_NOTHING, "checks": {"photos": 10, "calls": 5}}}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generate(folder, count=120, seed=5)
    return folder


@pytest.fixture(scope="module")
def readme(tmp_path_factory, photos) -> Iterator[Steps]:
    """README's "Deploy it", up to both stacks."""
    with Deployed(tmp_path_factory.mktemp("deployed"), SETTINGS) as running:
        commands = Steps(running, photos)
        commands.run(1, 2, 3, 4, 5, 6)
        commands.early = commands.fails("pulumi up --stack prod")
        commands.run(7)
        yield commands


@pytest.fixture(scope="module")
def environment(readme) -> Deployed:
    return readme.environment


@pytest.fixture(scope="module")
def released(readme) -> Steps:
    """The same, up to a version that was trained from photos and answers in prod."""
    readme.run(8, 9)
    return readme


@pytest.fixture(scope="module")
def first(released) -> Version:
    """The version that README's commands trained."""
    target = released.environment.target("test")
    return Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model).version(1)


def weights(environment: Environment, version: int, folder: Path) -> bytes:
    target = environment.target("test")
    catalog = Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model)
    return catalog.fetch(catalog.version(version), folder)["weights.pt"].read_bytes()


def kill_training(environment: Environment, instance: str) -> None:
    """Kill what trains on an instance, with the processes that it started."""
    killed = 0
    for pid in environment.runner.processes(instance):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[1:3] == [b"-m", b"training"]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    assert killed, f"no training process on {instance}: {environment.runner.log(instance).read_text()}"


def working_on(environment: Environment, job: str) -> list[str]:
    """All instances that were launched for a job."""
    wanted = [{"Name": f"tag:{JOB_TAG}", "Values": [job]}]
    found = environment.emulator.client("ec2").describe_instances(Filters=wanted)["Reservations"]
    return [machine["InstanceId"] for reservation in found for machine in reservation["Instances"]]


def run_to_its_end(environment: Environment, job: str, *, at_epoch: Callable[[], object] | None = None) -> int:
    """Train `job` by the state machine; its version. `at_epoch` is called once, after the first epoch."""
    target, acted = environment.target("test"), at_epoch is None
    for event in execution_events.follow(target, executions.start_training(target, job), poll=0.5):
        if at_epoch is not None and not acted and isinstance(event, EpochFinished):
            acted = True
            at_epoch()
        if isinstance(event, Finished):
            assert event.result.version is not None
            return event.result.version
    raise AssertionError("the job ended without a result")


def test_prod_before_test_is_refused_in_one_sentence(readme):
    errors = [line for line in readme.early.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "test" in errors[0]
    assert "Traceback" not in readme.early


def test_the_account_is_checked_before_the_first_up_and_what_cannot_be_checked_is_named(readme):
    for stack in STACKS:
        said = readme.heard[f"petpark doctor --account --stack {stack}"]
        assert "could not be checked" in said, "the emulator has no service quotas"
        assert "service-quotas" in said or "GetServiceQuota" in said


def test_photos_become_a_version_that_answers_in_prod_by_readmes_commands(released):
    (answer,) = [said for command, said in released.heard.items() if command.startswith("curl ")]
    assert json.loads(answer)["label"] in {"cat", "dog"}
    assert json.loads(answer)["model"]["version"] == 1


def test_a_training_killed_in_the_middle_ends_with_the_weights_of_one_that_was_not(environment, first, tmp_path):
    target = environment.target("test")
    workspace = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    spec = JobSpec.from_json(workspace.get(job_spec_key(first.lineage["run"])))

    hit = submission.submit(target, spec)
    resumed = run_to_its_end(
        environment, hit, at_epoch=lambda: kill_training(environment, working_on(environment, hit)[0])
    )
    assert len(working_on(environment, hit)) == 2, "another instance went on"
    assert resumed != first.number
    assert weights(environment, resumed, tmp_path / "resumed") == weights(
        environment, first.number, tmp_path / "undisturbed"
    )


def test_two_instances_train_one_model_and_two_others_continue_after_one_is_gone(environment, first):
    target = environment.target("test")
    outputs = replace(target.outputs, training=replace(target.outputs.training, instances=2))
    # An epoch takes half a second and is seen seconds later: the death must not come after the last one.
    spec = submission.plan(
        replace(target, outputs=outputs), first.lineage["dataset"], ("epochs=24", "image_size=32"), seed=1, instances=2
    )
    job = submission.submit(target, spec)
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)

    version = run_to_its_end(
        environment, job, at_epoch=lambda: kill_training(environment, working_on(environment, job)[1])
    )
    assert len(list(store.keys(f"{job_prefix(job)}meetings/"))) == 2, "each launch met at a place of its own"
    assert len(list(store.keys(epochs_prefix(job)))) == 24
    catalog = Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model)
    assert catalog.version(version).lineage["run"] == job
    assert len(working_on(environment, job)) == 4
    for instance in working_on(environment, job):
        environment.runner.wait_for(instance, "terminated", timeout=120)


def test_the_registrys_bucket_is_as_it_was_declared_and_the_reader_can_see_that(environment):
    outputs = environment.target("test").outputs
    s3 = environment.target("prod").client("s3", role=Role.READER)
    bucket = outputs.model_store
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    recorded = s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    assert recorded["TargetBucket"] != bucket
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert {"CreateOnly", "OnlyTheCollectorDeletes", "NoPlainHttp"} <= {statement["Sid"] for statement in statements}


def test_both_stacks_say_the_same_of_their_channels(environment):
    test, prod = (environment.target(stack).outputs.channels for stack in STACKS)
    assert test == prod
    assert prod["prod"].certificate
    asked = [environment.target(stack).outputs.gates for stack in STACKS]
    assert asked[0] == asked[1]
    assert set(asked[0].model) == set(MODEL_GATES)


@pytest.mark.parametrize("stack", STACKS)
def test_a_second_up_changes_nothing(environment, stack):
    update = environment.engine(stack).up(stack)
    assert set(update.changes) == {"same"}


@pytest.mark.parametrize("stack", STACKS)
def test_what_aws_added_to_a_stack_is_no_drift(readme, stack):
    done = readme.by(delivery_roles.PREVIEW, f"petpark state drift --stack {stack}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Stack {stack} is as it was deployed." in done.stdout


def test_what_is_changed_by_hand_is_found_and_stays_found_until_it_is_undone(readme, environment):
    logs = environment.emulator.client("logs")
    group = environment.target("prod").outputs.endpoint.log_group
    (before,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    for _ in range(2):  # what was seen is not taken for what was deployed
        done = readme.by(delivery_roles.PREVIEW, "petpark state drift --stack prod --json")
        assert done.returncode == 1, done.stderr
        (found,) = json.loads(done.stdout)["resources"]
        assert (found["op"], found["urn"].rpartition("::")[2]) == ("update", "endpoint-machine-log")
    logs.put_retention_policy(logGroupName=group, retentionInDays=before["retentionInDays"])
    assert readme.by(delivery_roles.PREVIEW, "petpark state drift --stack prod").returncode == 0


def test_taking_it_down_by_readmes_commands_leaves_nothing(readme, environment):
    readme.run(10)
    asked = {command for commands in readme.commands.values() for command in commands}
    assert asked == set(readme.heard) | set(LEFT_OUT), "each of README's commands was run"
    assert "no resources of petpark are left" in readme.heard["petpark doctor --account --leftovers"]
    buckets = environment.emulator.client("s3").list_buckets()["Buckets"]
    listed = environment.emulator.client("iam").list_roles()["Roles"]
    roles = [role for role in listed if not role["RoleName"].startswith("delivery-")]  # of no stack
    machines = [
        machine
        for entry in environment.emulator.client("ec2").describe_instances()["Reservations"]
        for machine in entry["Instances"]
        if machine["State"]["Name"] != "terminated"
    ]
    assert (buckets, roles, machines) == ([], [], [])


def test_the_role_that_deployed_a_stack_can_see_that_nothing_of_it_is_left(readme):
    done = readme.by(delivery_roles.deploying("test"), "petpark doctor --account --leftovers")
    assert done.returncode == 0, done.stdout
    assert "no resources of petpark are left" in done.stdout
    assert "could not be checked" not in done.stdout


def test_the_roles_of_delivery_asked_for_all_that_they_may_do_or_there_is_a_reason(environment):
    used = delivery_roles.used(environment.emulator.log)
    granted = delivery_roles.granted(environment.emulator, "000000000000")
    assert set(used) == set(granted), "each role was taken"
    asked = {action for actions in used.values() for action in actions}
    allowed = {action for documents in granted.values() for action in delivery_roles.actions(documents)}
    assert allowed - asked <= set(delivery_roles.NOT_RECORDED)
    assert set(delivery_roles.NOT_RECORDED) <= allowed
