"""An update that dies at any step is finished by the next one, and a destruction leaves nothing, wherever it died."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rehearsal.engine import DeploymentFailed, EngineError
from rehearsal.engine.provider.client import Provider
from rehearsal.engine.state import State
from tests.moto_cloud import MotoCloud
from tests.rehearsal.engine.conftest import Project

pytestmark = pytest.mark.timeout(240)

PROGRAM = """
import json
import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]})
mark = pulumi.Config().require("mark")
role = aws.iam.Role(f"{mark}-reader", assume_role_policy=TRUST)
profile = aws.iam.InstanceProfile(f"{mark}-profile", role=role.name)
log = aws.cloudwatch.LogGroup(f"{mark}-log", name=f"/{mark}/log", opts=ResourceOptions(depends_on=[profile]))
topic = aws.sns.Topic(f"{mark}-topic", opts=ResourceOptions(depends_on=[log]))
"""
RESOURCES = 5
"""With the stack itself; each but that is saved twice, before and after."""
SAVES = st.integers(0, 2 * (RESOURCES - 1))


@contextlib.contextmanager
def dying(saves: int, *, in_flight: bool) -> Generator[None]:
    """The engine's process as it is killed after that many writes of the state.

    What it would write later is never written, and what it would request of AWS later is never requested; but
    `in_flight` lets one request through that was under way: one whose intent was written before.
    """
    lock, left, own = threading.Lock(), {"saves": saves, "requests": int(in_flight)}, threading.local()
    save, apply = State.save, Provider.apply

    def save_while_alive(state: State) -> None:
        with lock:
            own.saved = left["saves"] > 0
            if own.saved:
                left["saves"] -= 1
                save(state)

    def apply_while_alive(provider: Provider, *words: Any) -> Any:
        with lock:
            alive = left["saves"] > 0
            if not alive and not (left["requests"] and getattr(own, "saved", False)):
                raise EngineError("The process is gone.")
            left["requests"] -= not alive
        return apply(provider, *words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "save", save_while_alive)
        patch.setattr(Provider, "apply", apply_while_alive)
        yield


def there(cloud: MotoCloud, mark: str) -> list[str]:
    """What AWS has of a stack, by kind."""
    found = {
        "role": [each["RoleName"] for each in cloud.client("iam").list_roles()["Roles"]],
        "profile": [
            each["InstanceProfileName"] for each in cloud.client("iam").list_instance_profiles()["InstanceProfiles"]
        ],
        "log": [each["logGroupName"].lstrip("/") for each in cloud.client("logs").describe_log_groups()["logGroups"]],
        "topic": [each["TopicArn"].rpartition(":")[2] for each in cloud.client("sns").list_topics()["Topics"]],
    }
    return sorted(kind for kind, names in found.items() for name in names if name.startswith(mark))


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(first=2, second=1, in_flight=True)  # the role was made, and nobody wrote it down
@given(first=SAVES, second=SAVES, in_flight=st.booleans())
def test_what_died_at_any_step_is_finished_by_the_next_run(
    tmp_path: Path, cloud: MotoCloud, first: int, second: int, in_flight: bool
) -> None:
    mark = f"c{uuid.uuid4().hex[:8]}"
    project = Project(directory=tmp_path / mark, cloud=cloud, url=cloud.url, config={"mark": mark})
    project.write(PROGRAM)
    with dying(first, in_flight=in_flight), contextlib.suppress(DeploymentFailed):
        project.up()
    project.up()
    assert there(cloud, mark) == ["log", "profile", "role", "topic"]
    assert len(project.engine().resources("test")) == RESOURCES
    with dying(second, in_flight=in_flight), contextlib.suppress(DeploymentFailed):
        project.engine().destroy("test")
    project.engine().destroy("test")
    assert there(cloud, mark) == []
