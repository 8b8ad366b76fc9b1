"""Services that LocalStack's community core lacks, served by the moto code it embeds.

AWS has Elastic Load Balancing v2, Auto Scaling, Budgets and Glue. The community core answers "not implemented" for
them, although moto, which it ships, knows them and shares one EC2 state with LocalStack's `ec2`.
"""

from collections.abc import Callable
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.services.plugins import Service, aws_provider
from plux import PluginSpec

from petpark_emulator.aws import autoscaling as scaling
from petpark_emulator.aws import load_balancing

Operation = Callable[[RequestContext, dict[str, Any]], dict[str, Any]]


def from_moto(api: str, **replacements: Operation) -> PluginSpec:
    """A service provider for `api` that hands every operation to moto, but for the `replacements`."""

    @aws_provider(api=api)
    def create() -> Service:
        from localstack.services.moto import call_moto

        spec = load_service(api)
        operations: dict[str, Operation] = {
            name: lambda context, _: call_moto(context) for name in spec.operation_names
        }
        return Service(name=api, skeleton=Skeleton(spec, operations | replacements))

    return create


autoscaling = from_moto("autoscaling", PutScalingPolicy=scaling.put_scaling_policy)
budgets = from_moto("budgets")
glue = from_moto("glue")
elbv2 = from_moto("elbv2", DescribeTargetHealth=load_balancing.describe_target_health)
