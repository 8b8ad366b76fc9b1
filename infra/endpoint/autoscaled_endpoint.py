"""An endpoint that is a group of instances behind a load balancer, as many as the work needs."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.alarms.signals import Signal, measure
from infra.configuration.endpoint_settings import HEALTH_PORT
from infra.configuration.objectives import Objective
from infra.endpoint.alarms import MonitoredSignal
from infra.endpoint.endpoint_instance import EndpointArgs, create_machine, start_script
from infra.endpoint.endpoint_kind import EndpointKind
from infra.endpoint.host_name import HostName, HostNameArgs
from infra.endpoint.signals import COUNTED, STATE, Share, shares

IN_SERVICE_PATH = "/healthz/in-service"

_BALANCERS, _CERTIFICATES = "AWS/ApplicationELB", "AWS/CertificateManager"
_TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
_DRAIN_SECONDS = 30  # a serving process finishes what it has begun within 25
_GRACE_SECONDS = 600  # the environment is installed from the lock before an instance can answer
_CPU_PERCENT = 60.0


class AutoscaledEndpoint(EndpointKind):
    """A group of instances behind a load balancer, as many as the work needs."""

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.machine = create_machine(name, args, self)
        self.door, self.let_in = self._create_load_balancer_group(args)
        self.balancer = self._create_balancer(args)
        self.targets = self._create_targets(args)
        self.host = self._create_host(args)
        self.listener = self._listen(args)
        self.group = self._create_group(args)
        self._scale_on_load()
        self.signals = self._signals(args)
        self.shares = self._shares()
        self.outputs = self._describe(args)
        self.register_outputs(self.outputs)

    def _create_load_balancer_group(self, args: EndpointArgs) -> tuple[aws.ec2.SecurityGroup, list[pulumi.Resource]]:
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
            from_port=_listening_port(args),
            to_port=_listening_port(args),
            cidr_ipv4=args.settings.clients,
            tags=self.tags,
        )
        rules: list[pulumi.Resource] = []
        for prefix, port in (("", args.settings.port), ("health-", HEALTH_PORT)):
            inside: dict[str, Any] = {"ip_protocol": "tcp", "from_port": port, "to_port": port, "tags": self.tags}
            rules += [
                aws.vpc.SecurityGroupEgressRule(
                    **self.child(f"{prefix}to-instances"),
                    security_group_id=door.id,
                    referenced_security_group_id=self.machine.firewall.id,
                    **inside,
                ),
                aws.vpc.SecurityGroupIngressRule(
                    **self.child(f"{prefix}from-balancer"),
                    security_group_id=self.machine.firewall.id,
                    referenced_security_group_id=door.id,
                    **inside,
                ),
            ]
        return door, rules

    def _create_balancer(self, args: EndpointArgs) -> aws.lb.LoadBalancer:
        return aws.lb.LoadBalancer(
            **self.child("lb", pulumi.ResourceOptions(depends_on=args.network.ready_for_balancers)),
            load_balancer_type="application",
            internal=False,
            security_groups=[self.door.id],
            subnets=[subnet.id for subnet in args.network.public_subnets],
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
                "path": IN_SERVICE_PATH,
                "port": str(HEALTH_PORT),
                "matcher": "200",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            tags=self.tagged("targets"),
        )

    def _create_host(self, args: EndpointArgs) -> HostName | None:
        settings = args.settings
        if settings.host_name is None:
            return None
        facts = HostNameArgs(
            name=settings.host_name,
            zone=settings.dns_zone,
            certificate=settings.tls_certificate,
            balancer=self.balancer,
        )
        return HostName(f"{self.name}-host", facts, pulumi.ResourceOptions(parent=self))

    def _listen(self, args: EndpointArgs) -> aws.lb.Listener:
        """Listen on HTTPS only if there is a host name, and on HTTP only if there is none.

        Nothing on port 80 sends callers on to 443: a program that calls the wrong address would have sent its key and
        its photo in the clear before it hears so.
        """
        return aws.lb.Listener(
            **self.child("listener"),
            load_balancer_arn=self.balancer.arn,
            port=_listening_port(args),
            protocol="HTTPS" if self.host else "HTTP",
            ssl_policy=_TLS_POLICY if self.host else None,
            certificate_arn=self.host.certificate if self.host else None,
            default_actions=[{"type": "forward", "target_group_arn": self.targets.arn}],
            tags=self.tags,
        )

    def _create_group(self, args: EndpointArgs) -> aws.autoscaling.Group:
        template = self.machine.create_template(start_script(args, self.machine, behind_load_balancer=True))
        return aws.autoscaling.Group(
            **self.child(
                "group",
                # Targets have no health until a listener forwards to their group, and must be reachable to have it.
                pulumi.ResourceOptions(depends_on=[*args.network.ready_for_instances, self.listener, *self.let_in]),
            ),
            min_size=args.settings.min_instances,
            max_size=args.settings.max_instances,
            vpc_zone_identifiers=[subnet.id for subnet in args.network.instance_subnets],
            target_group_arns=[self.targets.arn],
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            # Instances not in service are replaced, and an instance refresh waits until new ones are in service.
            health_check_type="ELB",
            health_check_grace_period=_GRACE_SECONDS,
            wait_for_capacity_timeout="0",  # instances boot for minutes, and nothing in the stack needs them
            # New code or a new image: start new instances first, terminate the old ones when the new ones answer.
            instance_refresh={
                "strategy": "Rolling",
                "preferences": {"min_healthy_percentage": 100, "max_healthy_percentage": 200},
            },
            tags=[
                {"key": key, "value": value, "propagate_at_launch": False}
                for key, value in self.tagged("group").items()
            ],
        )

    def _scale_on_load(self) -> None:
        aws.autoscaling.Policy(
            **self.child("scaling"),
            autoscaling_group_name=self.group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration={
                "predefined_metric_specification": {"predefined_metric_type": "ASGAverageCPUUtilization"},
                "target_value": _CPU_PERCENT,
            },
        )

    def _signals(self, args: EndpointArgs) -> dict[MonitoredSignal, Signal]:
        """Use the load balancer's own metrics, which see what clients see, and the log for what only instances know.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
        https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html
        """
        itself = {"LoadBalancer": self.balancer.arn_suffix}
        where = {**itself, "TargetGroup": self.targets.arn_suffix}
        known_to_instances = {what: STATE[what] for what in STATE if what is not MonitoredSignal.IN_SERVICE}
        signals = measure(self, self.machine.log_group, known_to_instances)

        def balancers(metric: str, milliseconds: float = 1.0) -> Signal:
            return Signal(namespace=_BALANCERS, metric=metric, dimensions=where, milliseconds=milliseconds)

        signals[MonitoredSignal.ERRORS] = balancers("HTTPCode_Target_5XX_Count")
        # Published for the load balancer alone: no target answered.
        signals[MonitoredSignal.BALANCER] = Signal(
            namespace=_BALANCERS, metric="HTTPCode_ELB_5XX_Count", dimensions=itself
        )
        signals[MonitoredSignal.LATENCY] = balancers("TargetResponseTime", 1000.0)
        if args.settings.min_instances > 0:  # otherwise no instance at all is intended
            signals[MonitoredSignal.IN_SERVICE] = balancers("HealthyHostCount")
        if self.host:
            dimensions = {"CertificateArn": self.host.certificate}
            signals[MonitoredSignal.TLS] = Signal(namespace=_CERTIFICATES, metric="DaysToExpiry", dimensions=dimensions)
        return signals

    def _shares(self) -> Mapping[Objective, Share]:
        """Requests that no instance answered are errors, too, so availability is what the load balancer counted."""
        dimensions = {"LoadBalancer": self.balancer.arn_suffix}
        requests = Signal(namespace=_BALANCERS, metric="RequestCount", dimensions=dimensions)
        return shares(self.signals, measure(self, self.machine.log_group, COUNTED), requests=requests)

    def _describe(self, args: EndpointArgs) -> dict[str, Any]:
        host = args.settings.host_name
        return {
            "kind": "autoscaled",
            "channel": args.settings.channel,
            "api_keys": args.settings.api_keys,
            "url": f"https://{host}" if host else pulumi.Output.concat("http://", self.balancer.dns_name),
            "port": _listening_port(args),
            "autoscaling_group": self.group.name,
            "target_group": self.targets.arn,
            "load_balancer": self.balancer.arn,
            # The target of the CNAME for a host name outside of Route 53.
            "load_balancer_name": self.balancer.dns_name,
            "log_group": self.machine.log_group.name,
        }


def _listening_port(args: EndpointArgs) -> int:
    return 443 if args.settings.host_name else 80
