"""Auto Scaling: what the AWS provider reads back, and instance refreshes.

- UpdateAutoScalingGroup keeps what it is not given. moto drops the mixed instances policy.
- PutScalingPolicy answers `PolicyARN`. moto says `PolicyArn`, which SDKs do not know.
- A scaling policy is enabled and has no predictive part unless given. moto invents them, so a second deployment
  differs from the first.
- StartInstanceRefresh replaces the members. moto does not know the call.
- Members run the launch template version that the group names. moto takes what is not user data from the default
  version.
"""

import time
import uuid
from contextvars import ContextVar
from functools import wraps
from typing import Any

from localstack.aws.api import RequestContext

template_version: ContextVar[str | None] = ContextVar("template_version", default=None)
"""The launch template version of the group whose members are being started, for `launch_templates`."""


def apply() -> None:
    """Fix moto's Auto Scaling."""
    _keep_mixed_instances_policy()
    _start_members_from_the_groups_version()
    _read_back_only_what_was_given()
    _add_instance_refresh()


def put_scaling_policy(context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
    """The PutScalingPolicy operation with AWS's spelling of its answer."""
    from localstack.services.moto import call_moto
    from moto.autoscaling.models import autoscaling_backends

    call_moto(context)
    policy = autoscaling_backends[context.account_id][context.region].policies[request["PolicyName"]]
    return {"PolicyARN": policy.arn, "Alarms": []}


def _keep_mixed_instances_policy() -> None:
    from moto.autoscaling.models import FakeAutoScalingGroup

    original = FakeAutoScalingGroup.update

    @wraps(original)
    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        kept = self.mixed_instances_policy
        original(self, *args, **kwargs)
        # Put back afterwards: moto refuses an update that repeats the policy next to a template it already has.
        if not any(kwargs.get(given) for given in ("mixed_instances_policy", "launch_template", "launch_config_name")):
            self.mixed_instances_policy = kept

    FakeAutoScalingGroup.update = update


def _start_members_from_the_groups_version() -> None:
    from moto.autoscaling.models import FakeAutoScalingGroup

    original = FakeAutoScalingGroup.replace_autoscaling_group_instances

    @wraps(original)
    def replace_autoscaling_group_instances(self: Any, count_needed: Any, propagated_tags: Any) -> None:
        token = template_version.set(str(self.launch_template_version) if self.ec2_launch_template else None)
        try:
            original(self, count_needed, propagated_tags)
        finally:
            template_version.reset(token)

    FakeAutoScalingGroup.replace_autoscaling_group_instances = replace_autoscaling_group_instances


def _read_back_only_what_was_given() -> None:
    from moto.autoscaling.models import FakeScalingPolicy

    make_policy = FakeScalingPolicy.__init__

    @wraps(make_policy)
    def policy(self: Any, *args: Any, **kwargs: Any) -> None:
        make_policy(self, *args, **kwargs)
        self.enabled = True
        self.predictive_scaling_configuration = self.predictive_scaling_configuration or None
        self.step_adjustments = self.step_adjustments or None

    FakeScalingPolicy.__init__ = policy


def _add_instance_refresh() -> None:
    """All members are replaced at once: minimum healthy percentage, checkpoints and skip-matching are not emulated."""
    from moto.autoscaling.responses import AutoScalingResponse
    from moto.core.responses import ActionResult

    refreshes: dict[tuple[str, str, str], list[dict[str, Any]]] = {}

    def of_group(self: Any) -> list[dict[str, Any]]:
        name = self._get_param("AutoScalingGroupName")
        return refreshes.setdefault((self.current_account, self.region, name), [])

    def start_instance_refresh(self: Any) -> Any:
        backend, name = self.autoscaling_backend, self._get_param("AutoScalingGroupName")
        started = time.time()
        members = [state.instance.id for state in backend.autoscaling_groups[name].active_instances()]
        if members:
            backend.ec2_backend.terminate_instances(members)
            backend.notify_terminate_instances(members)
        refresh = {
            "InstanceRefreshId": str(uuid.uuid4()),
            "AutoScalingGroupName": name,
            "Status": "Successful",
            "StartTime": started,
            "EndTime": time.time(),
            "PercentageComplete": 100,
            "InstancesToUpdate": 0,
        }
        of_group(self).insert(0, refresh)
        return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})

    def describe_instance_refreshes(self: Any) -> Any:
        wanted = self._get_param("InstanceRefreshIds", [])
        return ActionResult(
            {"InstanceRefreshes": [r for r in of_group(self) if not wanted or r["InstanceRefreshId"] in wanted]}
        )

    response: Any = AutoScalingResponse
    response.start_instance_refresh = start_instance_refresh
    response.describe_instance_refreshes = describe_instance_refreshes
