"""Target groups follow their Auto Scaling group.

AWS registers a group's instances with its target groups as they come and deregisters them as they go;
DescribeTargetHealth tells only of registered targets. moto registers those of the first moment, never their
replacements, and keeps the dead for ever.
"""

from typing import Any

from localstack.aws.api import RequestContext


def describe_target_health(context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
    """Moto's answer, after the target group has been brought in line with EC2 and Auto Scaling."""
    from localstack.services.moto import call_moto

    _follow_instances(context.account_id, context.region, request["TargetGroupArn"])
    return call_moto(context)


def _follow_instances(account: str, region: str, target_group_arn: str) -> None:
    from moto.autoscaling.models import autoscaling_backends
    from moto.ec2.models import ec2_backends
    from moto.elbv2.models import elbv2_backends

    target_group = elbv2_backends[account][region].target_groups.get(target_group_arn)
    if target_group is None or target_group.target_type != "instance":
        return
    running = {i.id for i in ec2_backends[account][region].all_running_instances()}
    target_group.deregister_terminated_instances([i for i in target_group.targets if i not in running])
    members = [
        state.instance.id
        for group in autoscaling_backends[account][region].autoscaling_groups.values()
        if target_group_arn in group.target_group_arns
        for state in group.active_instances()
    ]
    port = target_group.port
    target_group.register(
        [
            {"Id": i, "id": i, "Port": port, "port": port}
            for i in members
            if i in running and i not in target_group.targets
        ]
    )
