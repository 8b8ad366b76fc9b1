"""Where models answer: one instance, or a group of them behind a load balancer. The kind is a setting of the stack."""

from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.machine import METADATA_OPTIONS
from infra.serving_machine import EndpointArgs, create_machine, start_script

READY_PATH = "/healthz/ready"

_DRAIN_SECONDS = 30  # a serving process finishes what it has begun within 25
_GRACE_SECONDS = 600  # the environment is installed from the lock before an instance can answer
_CPU_PERCENT = 60.0


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A CloudWatch metric that tells how an endpoint is doing."""

    namespace: str
    metric: str
    dimensions: dict[str, pulumi.Input[str]]
    milliseconds: float = 1.0
    """For times: how many milliseconds make one unit of the metric."""


class Endpoint(Component):
    """What the rest of the stack wants to know of an endpoint of any kind."""

    outputs: dict[str, Any]
    errors: Signal
    """Answers with status 500 and above, one each."""
    latency: Signal
    """Time to answer."""


def create_endpoint(name: str, args: EndpointArgs) -> Endpoint:
    """Make an endpoint of the kind that the stack asks for."""
    kinds = {"instance": InstanceEndpoint, "autoscaled": AutoscaledEndpoint}
    return kinds[args.settings.kind](name, args)


class InstanceEndpoint(Endpoint):
    """One instance that clients reach directly: the cheap twin of the other kind, with the same software."""

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.machine = create_machine(name, args, self)
        self._admit_clients(args)
        self.instance = self._create_instance(args)
        self.errors = self._measure("errors", "$.errors")
        self.latency = self._measure("latency", "$.p99_milliseconds")
        self.outputs = {
            "kind": "instance",
            "channel": args.settings.channel,
            "api_keys": args.settings.api_keys,
            "url": pulumi.Output.concat("http://", self.instance.public_ip, f":{args.settings.port}"),
            "port": args.settings.port,
            "instance_id": self.instance.id,
            "log_group": self.machine.log_group.name,
        }
        self.register_outputs(self.outputs)

    def _admit_clients(self, args: EndpointArgs) -> None:
        ports = {"clients": args.settings.port, "grpc-clients": args.settings.grpc_port}
        for name, port in ports.items():
            if port:
                aws.vpc.SecurityGroupIngressRule(
                    **self.child(name),
                    security_group_id=self.machine.firewall.id,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    cidr_ipv4=args.settings.clients,
                    tags=self.tags,
                )

    def _create_instance(self, args: EndpointArgs) -> aws.ec2.Instance:
        return aws.ec2.Instance(
            **self.child(
                "instance", pulumi.ResourceOptions(depends_on=[*self.machine.ready, *args.network.ready_for_instances])
            ),
            ami=self.machine.image,
            instance_type=args.settings.instance_type.name,
            iam_instance_profile=self.machine.profile.name,
            subnet_id=args.network.machines[0].id,
            vpc_security_group_ids=[self.machine.firewall.id],
            metadata_options=METADATA_OPTIONS,
            root_block_device={"volume_size": args.settings.volume_gb, "volume_type": "gp3", "encrypted": True},
            user_data=start_script(args, self.machine),
            user_data_replace_on_change=True,
            tags=self.tagged("instance"),
        )

    def _measure(self, what: Literal["errors", "latency"], value: str) -> Signal:
        """Read a metric out of the lines in which an endpoint sums up its answers."""
        signal = Signal(namespace=pulumi.get_project(), metric=f"{pulumi.get_stack()}-endpoint-{what}", dimensions={})
        aws.cloudwatch.LogMetricFilter(
            **self.child(what),
            log_group_name=self.machine.log_group.name,
            pattern='{ $.message = "answered" }',
            metric_transformation={"namespace": signal.namespace, "name": signal.metric, "value": value},
        )
        return signal


class AutoscaledEndpoint(Endpoint):
    """A group of instances behind a load balancer, as many as the work needs."""

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.machine = create_machine(name, args, self)
        self.door = self._create_door(args)
        self.balancer = self._create_balancer(args)
        self.targets = self._create_targets(args)
        self.listener = self._listen(args)
        self.group = self._create_group(args)
        self._follow_the_work()
        self.errors, self.latency = self._signals()
        self.outputs = self._describe(args)
        self.register_outputs(self.outputs)

    def _create_door(self, args: EndpointArgs) -> aws.ec2.SecurityGroup:
        """Clients reach the load balancer; only the load balancer reaches the instances."""
        door = aws.ec2.SecurityGroup(
            **self.child("door"),
            vpc_id=args.network.vpc.id,
            description="petpark: load balancer of the endpoint",
            tags=self.tagged("door"),
        )
        aws.vpc.SecurityGroupIngressRule(
            **self.child("clients"),
            security_group_id=door.id,
            ip_protocol="tcp",
            from_port=listening_port(args),
            to_port=listening_port(args),
            cidr_ipv4=args.settings.clients,
            tags=self.tags,
        )
        inside: dict[str, Any] = {
            "ip_protocol": "tcp",
            "from_port": args.settings.port,
            "to_port": args.settings.port,
            "tags": self.tags,
        }
        aws.vpc.SecurityGroupEgressRule(
            **self.child("to-instances"),
            security_group_id=door.id,
            referenced_security_group_id=self.machine.firewall.id,
            **inside,
        )
        aws.vpc.SecurityGroupIngressRule(
            **self.child("from-balancer"),
            security_group_id=self.machine.firewall.id,
            referenced_security_group_id=door.id,
            **inside,
        )
        return door

    def _create_balancer(self, args: EndpointArgs) -> aws.lb.LoadBalancer:
        return aws.lb.LoadBalancer(
            **self.child("lb", pulumi.ResourceOptions(depends_on=args.network.ready_for_balancers)),
            load_balancer_type="application",
            internal=False,
            security_groups=[self.door.id],
            subnets=[subnet.id for subnet in args.network.doors],
            drop_invalid_header_fields=True,
            tags=self.tagged("lb"),
        )

    def _create_targets(self, args: EndpointArgs) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            **self.child("targets"),
            vpc_id=args.network.vpc.id,
            port=args.settings.port,
            protocol="HTTP",
            target_type="instance",
            deregistration_delay=_DRAIN_SECONDS,
            health_check={
                "path": READY_PATH,
                "matcher": "200",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            tags=self.tagged("targets"),
        )

    def _listen(self, args: EndpointArgs) -> aws.lb.Listener:
        certificate = args.settings.tls_certificate
        return aws.lb.Listener(
            **self.child("listener"),
            load_balancer_arn=self.balancer.arn,
            port=listening_port(args),
            protocol="HTTPS" if certificate else "HTTP",
            ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06" if certificate else None,
            certificate_arn=certificate,
            default_actions=[{"type": "forward", "target_group_arn": self.targets.arn}],
            tags=self.tags,
        )

    def _create_group(self, args: EndpointArgs) -> aws.autoscaling.Group:
        template = self.machine.create_template(start_script(args, self.machine))
        return aws.autoscaling.Group(
            **self.child("group", pulumi.ResourceOptions(depends_on=args.network.ready_for_instances)),
            min_size=args.settings.min_instances,
            max_size=args.settings.max_instances,
            vpc_zone_identifiers=[subnet.id for subnet in args.network.machines],
            target_group_arns=[self.targets.arn],
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            health_check_type="ELB",
            health_check_grace_period=_GRACE_SECONDS,
            # A new model store has no model yet, so instances cannot become ready: do not wait for them.
            wait_for_capacity_timeout="0",
            # New code or a new image: add instances first, take the old ones away when those answer.
            instance_refresh={
                "strategy": "Rolling",
                "preferences": {"min_healthy_percentage": 100, "max_healthy_percentage": 200},
            },
            tags=[
                {"key": key, "value": value, "propagate_at_launch": False}
                for key, value in self.tagged("group").items()
            ],
        )

    def _follow_the_work(self) -> None:
        aws.autoscaling.Policy(
            **self.child("scaling"),
            autoscaling_group_name=self.group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration={
                "predefined_metric_specification": {"predefined_metric_type": "ASGAverageCPUUtilization"},
                "target_value": _CPU_PERCENT,
            },
        )

    def _signals(self) -> tuple[Signal, Signal]:
        """Name the load balancer's own metrics, which see what clients see.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
        """
        where = {"LoadBalancer": self.balancer.arn_suffix, "TargetGroup": self.targets.arn_suffix}
        return (
            Signal(namespace="AWS/ApplicationELB", metric="HTTPCode_Target_5XX_Count", dimensions={**where}),
            Signal(
                namespace="AWS/ApplicationELB", metric="TargetResponseTime", dimensions={**where}, milliseconds=1000.0
            ),
        )

    def _describe(self, args: EndpointArgs) -> dict[str, Any]:
        scheme = "https" if args.settings.tls_certificate else "http"
        return {
            "kind": "autoscaled",
            "channel": args.settings.channel,
            "api_keys": args.settings.api_keys,
            "url": pulumi.Output.concat(f"{scheme}://", self.balancer.dns_name),
            "port": listening_port(args),
            "autoscaling_group": self.group.name,
            "target_group": self.targets.arn,
            "load_balancer": self.balancer.arn,
            "log_group": self.machine.log_group.name,
        }


def listening_port(args: EndpointArgs) -> int:
    """Port of the load balancer."""
    return 443 if args.settings.tls_certificate else 80
