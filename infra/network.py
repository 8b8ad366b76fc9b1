"""The stack's own network: two public subnets, no ingress except what a component's security group allows."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.address_plan import quarters
from infra.component import Component


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Where the network lies and how large it is."""

    region: str
    cidr: str
    zones: tuple[str, str]


class Network(Component):
    """A VPC with a public subnet in each of two zones, and a private path to S3."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.vpc = aws.ec2.Vpc(**self.child("vpc"), cidr_block=args.cidr, tags=self.tagged("vpc"))
        self.subnets = self._create_subnets(args)
        self._route_to_internet_and_s3(args.region)
        self.register_outputs({"vpc": self.vpc.id, "subnets": [subnet.id for subnet in self.subnets]})

    def _create_subnets(self, args: NetworkArgs) -> list[aws.ec2.Subnet]:
        # The subnet gives public addresses, not the launch template: a template with a network interface of its own
        # could not be launched into a subnet that the caller names, which is how training instances start.
        return [
            aws.ec2.Subnet(
                **self.child(f"public-{zone[-1]}"),
                vpc_id=self.vpc.id,
                cidr_block=block,
                availability_zone=zone,
                map_public_ip_on_launch=True,
                tags=self.tagged(f"public-{zone[-1]}"),
            )
            for zone, block in zip(args.zones, quarters(args.cidr), strict=False)
        ]

    def _route_to_internet_and_s3(self, region: str) -> None:
        gateway = aws.ec2.InternetGateway(**self.child("gateway"), vpc_id=self.vpc.id, tags=self.tagged("gateway"))
        routes = aws.ec2.RouteTable(**self.child("routes"), vpc_id=self.vpc.id, tags=self.tagged("routes"))
        aws.ec2.Route(
            **self.child("internet"),
            route_table_id=routes.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
        )
        for position, subnet in enumerate(self.subnets):
            aws.ec2.RouteTableAssociation(
                **self.child(f"routes-{position}"), route_table_id=routes.id, subnet_id=subnet.id
            )
        aws.ec2.VpcEndpoint(
            **self.child("s3"),
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            tags=self.tagged("s3"),
        )
