"""An endpoint that is one instance, which clients reach directly."""

import pulumi
import pulumi_aws as aws

from infra.alarms.signals import measure
from infra.endpoint.endpoint_instance import EndpointArgs, create_machine, start_script
from infra.endpoint.endpoint_kind import EndpointKind
from infra.endpoint.signals import ANSWERED, COUNTED, STATE, shares
from infra.instances.instance_base import METADATA_OPTIONS


class InstanceEndpoint(EndpointKind):
    """One instance that clients reach directly: cheaper than the other kind, with the same software."""

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.machine = create_machine(name, args, self)
        self._admit_clients(args)
        self.instance = self._create_instance(args)
        self.signals = measure(self, self.machine.log_group, {**ANSWERED, **STATE})
        self.shares = shares(self.signals, measure(self, self.machine.log_group, COUNTED))
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
            subnet_id=args.network.instance_subnets[0].id,
            vpc_security_group_ids=[self.machine.firewall.id],
            metadata_options=METADATA_OPTIONS,
            root_block_device={
                "volume_size": args.settings.volume_gb,
                "volume_type": "gp3",
                "encrypted": True,
                "tags": self.tagged("instance"),
            },
            user_data=start_script(args, self.machine, behind_load_balancer=False),
            user_data_replace_on_change=True,
            tags=self.tagged("instance"),
        )
