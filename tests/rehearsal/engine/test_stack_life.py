"""Whole operations: a Pulumi program, the real AWS provider, and moto as the cloud."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rehearsal.engine import DeploymentFailed, Event, Secret, StackBusy, Update
from rehearsal.engine.state import State, locked, state_file
from tests.moto_cloud import REGION
from tests.rehearsal.engine.conftest import PASSPHRASE, Project
from tests.rehearsal.engine.stalling_cloud import stalling

pytestmark = pytest.mark.timeout(240)

HEAD = """
import json
import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]})
"""


def did(update: Update) -> dict[str, str]:
    """What was done to each resource, without what stayed the same."""
    return {step.name: step.op for step in update.steps if step.op != "same"}


def test_a_preview_tells_what_up_does_and_a_second_up_does_nothing(project: Project):
    project.write(
        HEAD
        + """
class Store(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("tiny:store:Store", name)
        self.bucket = aws.s3.Bucket(f"{name}-Bucket", force_destroy=True, opts=ResourceOptions(parent=self))
        versions = aws.s3.BucketVersioning(
            f"{name}-versions", bucket=self.bucket.id, versioning_configuration={"status": "Enabled"},
            opts=ResourceOptions(parent=self))
        for key, source in (("text", pulumi.FileAsset("hello.txt")), ("string", pulumi.StringAsset("a string"))):
            aws.s3.BucketObjectv2(
                f"{name}-{key}", bucket=self.bucket.id, key=key, source=source,
                opts=ResourceOptions(parent=self, depends_on=[versions]))  # all of them with versions, or none
        self.register_outputs({"bucket": self.bucket.bucket})

store = Store("photos")
queue = aws.sns.Topic("alarms", tags={"Name": "alarms"})
pulumi.export("bucket", store.bucket.bucket)
pulumi.export("topic", queue.arn)
pulumi.export("account", aws.get_caller_identity().account_id)
pulumi.export("organization", pulumi.get_organization())
"""
    )
    (project.directory / "hello.txt").write_text("hello")

    planned = project.engine().preview("test")
    s3, sns = project.cloud.client("s3"), project.cloud.client("sns")
    assert planned.changes == {"create": 7}
    assert planned.outputs["topic"] == "[unknown]"
    assert not project.state_dir.joinpath("tiny", "test.json").exists()

    first = project.up()
    assert did(first) == did(planned)
    bucket = first.outputs["bucket"]
    assert bucket.startswith("photos-bucket-")
    assert s3.get_object(Bucket=bucket, Key="text")["Body"].read() == b"hello"
    assert s3.get_object(Bucket=bucket, Key="string")["Body"].read() == b"a string"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert first.outputs["organization"] == "organization"
    assert first.outputs["account"].isdecimal()
    parents = {resource.name: resource.parent for resource in project.engine().resources("test")}
    assert parents["photos-Bucket"].endswith("tiny:store:Store::photos")

    before = project.state_text
    assert project.up().changes == {"same": 7}
    assert project.state_text == before

    assert project.engine().destroy("test").changes == {"delete": 7}
    assert first.outputs["topic"] not in {topic["TopicArn"] for topic in sns.list_topics()["Topics"]}
    assert bucket not in {b["Name"] for b in s3.list_buckets()["Buckets"]}
    assert project.engine().resources("test") == []


def test_properties_are_updated_names_are_replaced_drift_is_reported_and_undone(project: Project):
    project.write(
        HEAD
        + """
config = pulumi.Config()
role = aws.iam.Role("reader", assume_role_policy=TRUST, description=config.require("role"), tags={"a": "1"})
topic = aws.sns.Topic("alarms", name=config.require("topic"))
grant = aws.iam.RolePolicy("grant", role=role.name, policy=topic.arn.apply(lambda arn: json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sns:Publish", "Resource": arn}]})))
log = aws.cloudwatch.LogGroup("log", retention_in_days=7)
pulumi.export("role", role.name)
pulumi.export("topic", topic.arn)
pulumi.export("log", log.name)
"""
    )
    iam, logs = project.cloud.client("iam"), project.cloud.client("logs")
    project.config = {"role": "first", "topic": "one"}
    first = project.up()
    name, log = first.outputs["role"], first.outputs["log"]

    read = project.engine().refresh("test")
    assert read.changes == {"same": first.changes["create"]}, "that the role has a policy now is no drift"
    known = {resource.name: resource for resource in project.engine().resources("test")}
    assert [policy["name"] for policy in known["reader"].outputs["inlinePolicies"]] == [known["grant"].outputs["name"]]

    project.config = {"role": "second", "topic": "two"}
    second = project.up()
    steps = {(step.name, step.op): step for step in second.steps}
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "second"
    assert [(c.path, c.old, c.new) for c in steps["reader", "update"].changes] == [("description", "first", "second")]
    assert {c.path: c.kind for c in steps["alarms", "replace"].changes} == {"name": "update-replace"}
    topics = {t["TopicArn"].rsplit(":", 1)[1] for t in project.cloud.client("sns").list_topics()["Topics"]}
    assert "two" in topics
    assert "one" not in topics

    iam.update_role(RoleName=name, Description="by hand")
    iam.tag_role(RoleName=name, Tags=[{"Key": "b", "Value": "2"}])
    grant = iam.get_role_policy(RoleName=name, PolicyName=known["grant"].outputs["name"])
    grant["PolicyDocument"]["Statement"][0]["Action"] = "sns:*"
    iam.put_role_policy(
        RoleName=name, PolicyName=grant["PolicyName"], PolicyDocument=json.dumps(grant["PolicyDocument"])
    )
    logs.delete_log_group(logGroupName=log)
    drift = project.engine().refresh("test")
    assert did(drift) == {"log": "delete", "reader": "update", "grant": "update"}
    told = {c.path: (c.kind, c.old, c.new) for step in drift.steps for c in step.changes}
    assert told.pop("tagsAll.b", None) in (None, ("add", None, "2"))
    kind, wanted, found = told.pop("policy")
    assert kind == "update"
    assert "sns:Publish" in wanted
    assert "sns:*" in found
    assert told == {"description": ("update", "second", "by hand"), "tags.b": ("add", None, "2")}
    again = project.engine().refresh("test")
    assert again.changes == {"same": first.changes["create"] - 1}, "what was reported is known from then on"

    mended = project.up()
    assert (mended.changes["create"], mended.changes["update"]) == (1, 2)
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "second"
    project.engine().destroy("test")


def test_a_protected_resource_is_neither_deleted_nor_replaced(project: Project):
    program = (
        HEAD
        + """
config = pulumi.Config()
kept = config.get_bool("kept")
if config.get_bool("there"):
    aws.sns.Topic("alarms", name=config.require("name"), opts=ResourceOptions(protect=kept))
aws.sns.Topic("other")
"""
    )
    project.write(program)
    project.config = {"kept": True, "there": True, "name": "kept-topic"}
    project.up()
    topics = project.cloud.client("sns").list_topics

    with pytest.raises(DeploymentFailed, match=r"Nothing was deleted.*sns\.Topic alarms"):
        project.engine().destroy("test")
    project.config["name"] = "another-topic"
    assert "protected" in project.failed_up().errors[0]
    project.config["there"] = False
    assert "protected" in project.failed_up().errors[0]
    assert any(t["TopicArn"].endswith(":kept-topic") for t in topics()["Topics"])

    project.config |= {"there": True, "kept": False, "name": "kept-topic"}
    assert project.up().ok
    project.engine().destroy("test")
    assert not any(t["TopicArn"].endswith(":kept-topic") for t in topics()["Topics"])


def test_resource_options_do_what_they_say(project: Project):
    project.write(
        HEAD
        + """
step = pulumi.Config().require_int("step")
role = aws.iam.Role(
    "renamed" if step == 2 else "role", name="fixed-role", path=f"/step{step}/", assume_role_policy=TRUST,
    opts=ResourceOptions(aliases=[pulumi.Alias(name="role")]))
profile = aws.iam.RolePolicy("grant", name="grant", role=role.name, policy=TRUST.replace("sts", "s3").replace(
    '"Principal": {"Service": "ec2.amazonaws.com"}', '"Resource": "*"'))
before = aws.cloudwatch.LogGroup("before")
if step == 1:
    aws.cloudwatch.LogGroup("retained", name="/options/retained", opts=ResourceOptions(retain_on_delete=True))
after = aws.sns.Topic("after", opts=ResourceOptions(depends_on=[before]))
pulumi.export("after", after.arn)
pulumi.export("role", role.unique_id)
"""
    )
    project.config = {"step": 1}
    first = project.up()
    project.config = {"step": 2}
    second = project.up()

    done = {(step.name, step.op) for step in second.steps}
    assert ("renamed", "replace") in done, "the alias carries the role over; its new path replaces it"
    assert ("grant", "delete") in done, "what hangs on the old role goes before it, since both have one name"
    assert ("grant", "create") in done
    assert second.outputs["role"] != first.outputs["role"]
    assert project.cloud.client("iam").get_role(RoleName="fixed-role")["Role"]["Path"] == "/step2/"
    kept = project.cloud.client("logs").describe_log_groups(logGroupNamePrefix="/options/retained")
    assert len(kept["logGroups"]) == 1
    assert project.up().changes == {"same": second.changes["same"] + 2}
    project.engine().destroy("test")


def test_a_secret_reaches_the_cloud_and_no_text(project: Project):
    project.write(
        HEAD
        + """
config = pulumi.Config()
token = config.require_secret("token")
bucket = aws.s3.Bucket("photos", force_destroy=True)
stored = aws.s3.BucketObjectv2("token", bucket=bucket.id, key="token", content=token)
token.apply(lambda value: print("printed:", value))
pulumi.log.info("the token is " + config.require("token"))
pulumi.export("bucket", bucket.bucket)
pulumi.export("token", stored.content)
pulumi.export("inside", {"deep": [stored.content]})
if config.get_bool("fail"):
    raise ValueError("bad token " + config.require("token"))
"""
    )
    project.config = {"token": Secret("hunter2-hunter2")}
    first = project.up()
    got = project.cloud.client("s3").get_object(Bucket=first.outputs["bucket"], Key="token")
    assert got["Body"].read() == b"hunter2-hunter2"
    assert (first.outputs["token"], first.outputs["inside"]) == ("[secret]", "[secret]")
    assert project.engine().outputs("test", show_secrets=True)["inside"] == {"deep": ["hunter2-hunter2"]}

    project.config = {"token": Secret("tr0ub4dor&3-tr0ub4dor"), "fail": True}
    failed = project.failed_up()
    assert "ValueError: bad token [secret]" in failed.errors[0]

    texts = "\n".join(
        [*project.told, repr(first), repr(failed), project.state_text, repr(project.engine().resources("test"))]
    )
    assert "printed: [secret]" in texts
    assert "hunter2" not in texts
    assert "tr0ub4dor" not in texts
    project.engine().destroy("test")


def test_two_stacks_deploy_side_by_side_and_one_reads_the_others_outputs(project: Project):
    project.write(
        HEAD
        + """
topic = aws.sns.Topic("topic")
pulumi.export("arn", topic.arn)
pulumi.export("hidden", pulumi.Output.secret("a hidden word"))
if other := pulumi.Config().get("other"):
    reference = pulumi.StackReference(other)
    pulumi.export("theirs", reference.get_output("arn"))
    pulumi.export("also_hidden", reference.get_output("hidden"))
"""
    )
    prod = replace(project, stack="prod", config={})
    with ThreadPoolExecutor() as pool:
        one, two = pool.map(lambda each: each.up(), (project, prod))
    assert one.outputs["arn"] != two.outputs["arn"]

    project.config = {"other": "organization/tiny/prod"}
    read = project.engine().preview("test")
    assert read.outputs["theirs"] == two.outputs["arn"]
    assert read.outputs["also_hidden"] == "[secret]"
    project.config = {"other": "organization/tiny/staging"}
    with pytest.raises(DeploymentFailed, match="There is no stack staging"):
        project.engine().preview("test")


def test_a_stack_waits_for_another_stacks_outputs_only_where_it_needs_them(project: Project):
    project.write(
        HEAD
        + """
if other := pulumi.Config().get("other"):
    aws.sns.Topic("mine", display_name=pulumi.StackReference(other).get_output("name"))
    aws.sns.Topic("independent")
pulumi.export("name", "known late")
"""
    )
    prod = replace(project, stack="prod", config={})
    made = threading.Event()

    def handle_event(event: Event) -> None:
        if event.kind == "finished" and event.step is not None and event.step.name == "independent":
            made.set()

    def deploy_other(stack: str) -> None:
        assert (stack, made.wait(60)) == ("prod", True), "what is independent comes first"
        prod.up()

    project.config = {"other": "organization/tiny/prod"}
    engine = project.engine(before_reference=deploy_other, on_event=handle_event)
    assert engine.up("test").ok
    assert "known late" in project.state_text
    engine.destroy("test")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('aws.dynamodb.Table("t", attributes=[], billing_mode="PAY_PER_REQUEST")', "aws:dynamodb/table:Table"),
        *(
            (f'aws.sns.Topic("t", opts=ResourceOptions({option}={value}))', f"does not support {option}")
            for option, value in {
                "import_": '"arn"',
                "ignore_changes": '["name"]',
                "additional_secret_outputs": '["arn"]',
                "custom_timeouts": 'pulumi.CustomTimeouts(create="1m")',
            }.items()
        ),
        ('aws.cloudwatch.LogGroup("t", deletion_protection_enabled=True)', "no input 'deletionProtectionEnabled'"),
    ],
)
def test_what_the_engine_was_not_reviewed_for_is_refused_by_name(project: Project, line: str, named: str):
    project.write(HEAD + line)
    with pytest.raises(DeploymentFailed, match=named):
        project.engine().preview("test")


def test_a_second_operation_on_a_stack_is_refused(project: Project):
    project.write(HEAD)
    with locked(state_file(project.state_dir, "tiny", "test")), pytest.raises(StackBusy, match="stack test"):
        project.up()


ROLE_THEN_TOPIC = (
    HEAD
    + """
role = aws.iam.Role("reader", assume_role_policy=TRUST)
aws.sns.Topic("after", opts=ResourceOptions(depends_on=[role]))
pulumi.export("role", role.name)
"""
)


def test_outputs_can_be_read_while_what_they_do_not_depend_on_is_still_being_made(project: Project):
    project.write(
        HEAD
        + """
topic = aws.sns.Topic("alarms")
aws.iam.Role("slow", assume_role_policy=TRUST)
pulumi.export("topic", topic.arn)
"""
    )
    project.engine().preview("test")
    assert not project.outputs_known.is_set(), "a preview makes nothing that could be read"
    with stalling(project.url, call=b"Action=CreateRole") as slow, ThreadPoolExecutor() as pool:
        running = pool.submit(replace(project, url=slow.url).up)
        assert slow.arrived.wait(60)
        assert project.outputs_known.wait(60)
        assert not running.done()
        assert project.engine().outputs("test")["topic"].endswith(":" + _topic(project))
        slow.let.set()
        assert running.result(60).ok
    project.engine().destroy("test")


def _topic(project: Project) -> str:
    (topic,) = (r for r in project.engine().resources("test") if r.name == "alarms")
    return topic.outputs["name"]


def test_cancelling_begins_nothing_new_and_records_what_was_in_flight(project: Project):
    project.write(ROLE_THEN_TOPIC)
    with stalling(project.url, call=b"Action=CreateRole") as slow:
        engine = replace(project, url=slow.url).engine()
        with ThreadPoolExecutor() as pool:
            running = pool.submit(engine.up, "test")
            assert slow.arrived.wait(60)
            engine.cancel()
            slow.let.set()
            with pytest.raises(DeploymentFailed, match="Cancelled"):
                running.result(60)

    assert [r.name for r in project.engine().resources("test")] == ["tiny-test", "reader"]
    assert did(project.up()) == {"after": "create"}
    project.engine().destroy("test")


def test_after_a_kill_in_the_middle_the_next_up_finds_what_was_begun(project: Project):
    project.write(ROLE_THEN_TOPIC)
    command = [sys.executable, "-m", "rehearsal.engine", "up", "--stack", "test"]
    with stalling(project.url, call=b"Action=CreateRole") as slow:
        settings = [f"aws:region={REGION}", f"aws:endpoints={slow.url}"]
        running = subprocess.Popen(
            [
                *command,
                f"--project-dir={project.directory}",
                f"--state-dir={project.state_dir}",
                *(f"--config={setting}" for setting in settings),
            ],
            env=os.environ | {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert slow.arrived.wait(60)
        children = _children(running.pid)
        running.send_signal(signal.SIGKILL)
        running.wait(60)
        assert len(children) == 2, "the provider and the program"
        _wait_until_gone(children)

    state = State(state_file(project.state_dir, "tiny", "test"), passphrase=PASSPHRASE)
    (begun,) = (r for r in state.resources.values() if r.name == "reader")
    assert begun.pending == "create"

    mended = project.up()
    assert mended.outputs["role"] == begun.inputs["name"]
    assert any("found it again" in line for line in project.told)
    roles = [r["RoleName"] for r in project.cloud.client("iam").list_roles()["Roles"]]
    assert [name for name in roles if name.startswith("reader-")] == [begun.inputs["name"]]
    project.engine().destroy("test")


def _children(process: int) -> list[int]:
    """The processes that any thread of `process` started."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in task.joinpath("children").read_text().split()]


def _wait_until_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + 60
    wait = threading.Event()
    while any(map(_alive, processes)):
        assert time.monotonic() < deadline, "a child outlived the engine"
        wait.wait(0.05)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
