"""A plan from recorded state against the engine's own preview, of a program that it has deployed."""

from __future__ import annotations

import json
from pathlib import Path

from petpark.preview.plan import Op, Plan
from petpark.preview.pulumi_json import read_plan
from petpark.preview.recorded import run, states
from petpark.preview.recorded.record import Answer, StackRecord
from tests.moto_cloud import REGION
from tests.rehearsal.engine.conftest import Project

PROGRAM = """
import pulumi
import pulumi_aws as aws

account = aws.get_caller_identity_output().account_id
photos = aws.s3.Bucket("photos", force_destroy=True, tags={{"account": account}})
lake = aws.s3.Bucket("lake", bucket={lake!r})
closed = aws.s3.BucketPublicAccessBlock("closed", bucket=photos.bucket, block_public_acls=True)
index = aws.s3.BucketObjectv2("index", bucket=lake.bucket, key="index.txt", source=pulumi.FileAsset("index.txt"))
tags = {{"secret": pulumi.Output.secret("x" * 20)}}
queue = aws.sqs.Queue("events", name="events", visibility_timeout_seconds={seconds}, tags=tags)
pulumi.export("photos", photos.bucket)
"""

IDENTITY = Answer(
    token="aws:index/getCallerIdentity:getCallerIdentity",
    arguments={},
    result={"accountId": "123456789012", "id": "123456789012"},
)


def write(project: Project, *, lake: str = "lake-1", seconds: int = 30, index: str = "a") -> None:
    project.write(PROGRAM.format(lake=lake, seconds=seconds))
    (project.directory / "index.txt").write_text(index)
    (project.directory / "Pulumi.test.yaml").write_text(f"config:\n  aws:region: {REGION}\n")


def recorded(project: Project) -> StackRecord:
    state = states.read(project.state_text)
    return StackRecord(
        project=project.directory.name,
        stack="test",
        state=state.version,
        commit="0" * 40,
        resources=state.resources,
        answers=(IDENTITY,),
    )


def plan(record: StackRecord, directory: Path) -> tuple[Plan, run.RecordedPreview]:
    done = run.preview(record, directory)
    return read_plan(json.dumps(done.document), stack="test"), done


def test_a_plan_from_a_record_says_what_the_engine_that_deployed_says(project: Project) -> None:
    write(project)
    project.up()
    record = StackRecord.from_text(recorded(project).to_text())
    assert "x" * 20 not in record.to_text(), "no secret leaves the state"
    same, done = plan(record, project.directory)
    assert same.changes == ()
    assert done.provider
    assert done.document["diagnostics"] == []

    write(project, lake="lake-2", seconds=60, index="b")
    own = project.engine().preview("test")
    changed, done = plan(record, project.directory)
    steps = {
        each.urn: (each.op, {change.path.split(".")[0] for change in each.changes if "replace" in change.kind})
        for each in own.steps
    }
    expected = {urn: step for urn, step in steps.items() if step[0] != "same"}
    sealed = {each.urn for each in record.resources if each.sealed}
    assert [urn.rpartition("::")[2] for urn in sealed] == ["events"]
    found = {
        each.urn: (str(each.op), {change.path for change in each.properties if change.forces})
        for each in changed.changes
    }
    assert found == {urn: step for urn, step in expected.items() if urn not in sealed}
    assert {each.op for each in changed.changes} == {Op.REPLACE}
    assert done.undecided == ()


def test_what_the_record_does_not_answer_is_named(project: Project) -> None:
    write(project)
    record = StackRecord(project="tiny", stack="test", state="1", commit="unknown", resources=())
    found, _ = plan(record, project.directory)
    assert "The record has no result of aws:index/getCallerIdentity:getCallerIdentity for {}" in "".join(found.problems)
