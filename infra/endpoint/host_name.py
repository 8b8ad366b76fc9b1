"""The host name at which clients call an endpoint, and its certificate."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component


@dataclass(frozen=True, kw_only=True)
class HostNameArgs:
    """A host name, where its DNS is, and what it resolves to."""

    name: str
    zone: str | None
    """Name of the Route 53 public hosted zone; None: the operator creates a CNAME to the load balancer."""
    certificate: str | None
    """ARN of a certificate that covers the name; None: one is requested, which needs the zone."""
    balancer: aws.lb.LoadBalancer


class HostName(Component):
    """A certificate for a name, and the name's record; a load balancer's own name cannot have a certificate.

    https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
    """

    def __init__(self, name: str, args: HostNameArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        zone = None
        if args.zone is not None:
            zone = aws.route53.get_zone_output(name=args.zone, private_zone=False).zone_id
            self._lead_to(args, zone)
        self.certificate: pulumi.Input[str] = args.certificate or self._certify(args.name, zone)
        """ARN of a certificate that can be used: a listener refuses one that is not validated yet."""
        self.register_outputs({"certificate": self.certificate})

    def _lead_to(self, args: HostNameArgs, zone: pulumi.Input[str]) -> None:
        aws.route53.Record(
            **self.child("address"),
            zone_id=zone,
            name=args.name,
            type="A",
            aliases=[
                {
                    "name": args.balancer.dns_name,
                    "zone_id": args.balancer.zone_id,
                    "evaluate_target_health": False,  # there is no other record to answer with
                }
            ],
        )

    def _certify(self, name: str, zone: pulumi.Input[str] | None) -> pulumi.Output[str]:
        if zone is None:
            raise ValueError(f"a certificate for {name} can be validated only in a hosted zone")
        certificate = aws.acm.Certificate(
            **self.child("certificate"), domain_name=name, validation_method="DNS", tags=self.tagged("certificate")
        )
        option = certificate.domain_validation_options[0]
        proof = aws.route53.Record(
            **self.child("proof"),
            zone_id=zone,
            name=option.resource_record_name.apply(str),
            type=option.resource_record_type.apply(str),
            records=[option.resource_record_value.apply(str)],
            ttl=300,
            # One account has the same record for all of a name's certificates, so one may be there. It must stay while
            # the certificate does: https://docs.aws.amazon.com/acm/latest/userguide/dns-renewal-validation.html
            allow_overwrite=True,
        )
        validated = aws.acm.CertificateValidation(
            **self.child("validated"), certificate_arn=certificate.arn, validation_record_fqdns=[proof.fqdn]
        )
        return validated.certificate_arn
