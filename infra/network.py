"""The stack's own network: public subnets in two zones, no ingress except what a component's security group allows."""

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
    """A VPC over two zones, with subnets for load balancers and subnets for instances, and a private path to S3.

    Both kinds are public for now. They are apart so that instances can move behind a NAT gateway one day without the
    load balancer, and with it the address that clients know, having to be replaced.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.vpc = aws.ec2.Vpc(
            **self.child("vpc"),
            cidr_block=args.cidr,
            # A gateway endpoint needs both with Amazon's DNS servers:
            # https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self.tagged("vpc"),
        )
        blocks = quarters(args.cidr)
        # Instances get public addresses from their subnet, not from a launch template: a template with a network
        # interface of its own could not be launched into a subnet that the caller names, as training instances are.
        self.public_subnets = self._create_subnets("doors", args.zones, blocks[:2], public_addresses=False)
        self.instance_subnets = self._create_subnets("machines", args.zones, blocks[2:], public_addresses=True)
        internet, routes = self._route_to_internet()
        s3 = self._route_to_s3(args.region, routes)
        self.ready_for_balancers = [internet, *self._associate(routes, self.public_subnets, first=0)]
        """An internet-facing load balancer is refused until these exist."""
        self.ready_for_instances = [internet, *self._associate(routes, self.instance_subnets, first=2), s3]
        """An instance that boots before these exist cannot fetch its code, or loses its connection to S3."""
        self.register_outputs({"vpc": self.vpc.id})

    def _create_subnets(
        self, part: str, zones: tuple[str, str], blocks: list[str], *, public_addresses: bool
    ) -> list[aws.ec2.Subnet]:
        return [
            aws.ec2.Subnet(
                **self.child(f"{part}-{zone[-1]}"),
                vpc_id=self.vpc.id,
                cidr_block=block,
                availability_zone=zone,
                map_public_ip_on_launch=public_addresses,
                tags=self.tagged(f"{part}-{zone[-1]}"),
            )
            for zone, block in zip(zones, blocks, strict=True)
        ]

    def _route_to_internet(self) -> tuple[aws.ec2.Route, aws.ec2.RouteTable]:
        gateway = aws.ec2.InternetGateway(**self.child("gateway"), vpc_id=self.vpc.id, tags=self.tagged("gateway"))
        routes = aws.ec2.RouteTable(**self.child("routes"), vpc_id=self.vpc.id, tags=self.tagged("routes"))
        internet = aws.ec2.Route(
            **self.child("internet"),
            route_table_id=routes.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
        )
        return internet, routes

    def _route_to_s3(self, region: str, routes: aws.ec2.RouteTable) -> aws.ec2.VpcEndpoint:
        return aws.ec2.VpcEndpoint(
            **self.child("s3"),
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            tags=self.tagged("s3"),
        )

    def _associate(
        self, routes: aws.ec2.RouteTable, subnets: list[aws.ec2.Subnet], *, first: int
    ) -> list[aws.ec2.RouteTableAssociation]:
        return [
            aws.ec2.RouteTableAssociation(
                **self.child(f"routes-{position}"), route_table_id=routes.id, subnet_id=subnet.id
            )
            for position, subnet in enumerate(subnets, start=first)
        ]
