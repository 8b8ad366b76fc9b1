"""Price lists in AWS's documented format, as small as they may be: five rows of metadata, a header, prices."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

HEADER = (
    "SKU", "OfferTermCode", "RateCode", "TermType", "PriceDescription", "EffectiveDate", "StartingRange", "EndingRange",
    "Unit", "PricePerUnit", "Currency", "Product Family", "serviceCode", "Location", "Location Type", "Instance Type",
    "Operating System", "Tenancy", "Transfer Type", "usageType", "operation", "CapacityStatus", "From Region Code",
    "Pre Installed S/W", "Region Code", "serviceName",
)  # fmt: skip
"""Some of the columns that AWS's files have, in their order."""

LINUX = {
    "TermType": "OnDemand", "StartingRange": "0", "EndingRange": "Inf", "Unit": "Hrs", "Currency": "USD",
    "Location Type": "AWS Region", "Operating System": "Linux", "Tenancy": "Shared", "CapacityStatus": "Used",
    "Pre Installed S/W": "NA",
}  # fmt: skip


def instance(name: str, usd: str, region: str = "eu-west-1", prefix: str = "EU-", **other: str) -> dict[str, str]:
    """One row of EC2's list; `other` replaces columns, with `_` for a space."""
    row = {"Instance Type": name, "PricePerUnit": usd, "usageType": f"{prefix}BoxUsage:{name}", "Region Code": region}
    return {**LINUX, **row, **{column.replace("_", " "): value for column, value in other.items()}}


def service(usage: str, usd: str, unit: str, region: str = "eu-west-1", **other: str) -> dict[str, str]:
    """One row of another list, or of disks in EC2's."""
    row = {"Unit": unit, "PricePerUnit": usd, "usageType": usage, "Region Code": region, "From Region Code": region}
    plain = {"TermType": "OnDemand", "StartingRange": "0", "EndingRange": "Inf", "Currency": "USD"}
    return {**plain, **row, **{column.replace("_", " "): value for column, value in other.items()}}


def listed(
    offer: str,
    rows: Iterable[Mapping[str, str]],
    *,
    header: Sequence[str] = HEADER,
    published: str = "2026-11-20T17:05:28Z",
    version: str = "v1.0",
) -> bytes:
    """The file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows(
        [
            ("FormatVersion", version),
            ("Disclaimer", "This pricing list is for informational purposes only."),
            ("Publication Date", published),
            ("Version", "20261120170528"),
            ("OfferCode", offer),
            tuple(header),
        ]
    )
    writer.writerows([row.get(column, "") for column in header] for row in rows)
    return text.getvalue().encode()


ALB = {"operation": "LoadBalancing:Application"}
OUT = {"Transfer_Type": "AWS Outbound"}


def site(region: str = "eu-west-1", prefix: str = "EU-", **instances: str) -> dict[str, bytes]:
    """All files of a region by path, with decoys that must not be taken; `instances` as `g5_xlarge="1.2"`."""
    plain = "" if prefix == "USE1-" else prefix
    ec2 = [service(f"{plain}EBS:VolumeUsage.gp3", "0.0880000000", "GB-Mo", region)]
    for name, usd in instances.items():
        type_ = name.replace("_", ".")
        ec2 += [
            instance(type_, "9.0", region, plain, Operating_System="Windows"),
            instance(type_, "9.1", region, plain, Tenancy="Dedicated"),
            instance(type_, "9.2", region, plain, CapacityStatus="UnusedCapacityReservation"),
            instance(type_, "9.3", region, plain, TermType="Reserved"),
            instance(type_, "9.4", region, plain, Location_Type="AWS Local Zone"),
            instance(type_, "9.5", "eu-west-3", "EUW3-"),
            instance(type_, "0", region, plain),
            instance(type_, usd, region, plain),
        ]
    lists = {
        "AmazonEC2": ec2,
        "AWSELB": [
            service(f"{plain}LoadBalancerUsage", "0.028", "Hrs", region, operation="LoadBalancing"),
            service(f"{plain}TS-LoadBalancerUsage", "0.005", "Hrs", region, **ALB),
            service(f"{plain}Outposts-LCUUsage", "0", "LCU-Hrs", region, **ALB),
            service(f"{plain}LoadBalancerUsage", "0.0252", "Hrs", region, **ALB),
            service(f"{plain}LCUUsage", "0.008", "LCU-Hrs", region, **ALB),
        ],
        "AWSDataTransfer": [
            service(f"{plain}DataTransfer-Out-Bytes", "0.05", "GB", region, StartingRange="153600", **OUT),
            service(f"{plain}DataTransfer-Out-Bytes", "0.09", "GB", region, **OUT),
            service(f"{plain}DataTransfer-Out-Bytes", "0.085", "GB", region, StartingRange="10240", **OUT),
            service(f"{plain}DataTransfer-Out-Bytes", "0.02", "GB", region, Transfer_Type="InterRegion Outbound"),
        ],
        "AmazonVPC": [
            service(f"{prefix}PublicIPv4:IdleAddress", "0.006", "Hrs", region),
            service(f"{prefix}PublicIPv4:InUseAddress", "0.005", "Hrs", region),
        ],
        "AmazonCloudWatch": [
            service("Global-CW:MetricMonitorUsage", "0", "Metrics", region),
            service(f"{plain}CW:MetricMonitorUsage", "0.3", "Metrics", region),
            service(f"{plain}CW:MetricMonitorUsage", "0.1", "Metrics", region, StartingRange="10000"),
            service(f"{plain}CW:AlarmMonitorUsage", "0.1", "Alarms", region),
            service(f"{plain}CW:HighResAlarmMonitorUsage", "0.3", "Alarms", region),
            service(f"{prefix}DataProcessing-Bytes", "0.57", "GB", region),
            service(f"{prefix}TimedStorage-ByteHrs", "0.03", "GB-Mo", region),
        ],
        "AmazonS3": [
            service(f"{plain}TimedStorage-SIA-ByteHrs", "0.0125", "GB-Mo", region),
            service(f"{plain}TimedStorage-ByteHrs", "0.022", "GB-Mo", region, StartingRange="51200"),
            service(f"{plain}TimedStorage-ByteHrs", "0.023", "GB-Mo", region),
            service(f"{plain}Requests-Tier1", "0.0000050000", "Requests", region),
            service(f"{plain}Requests-Tier2", "0.0000004000", "Requests", region),
        ],
        "awskms": [
            service("Global-KMS-Requests", "0", "Requests", region),
            service(f"{region}-KMS-Keys", "1.0000000000", "Keys", region),
            service(f"{region}-KMS-Requests", "0.0000030000", "Requests", region),
            service(f"{region}-KMS-Requests-Asymmetric", "0.0000150000", "Requests", region),
        ],
    }  # fmt: skip
    return {path(offer, region): listed(offer, rows) for offer, rows in lists.items()}


def path(offer: str, region: str = "eu-west-1") -> str:
    """Where AWS has a service's file."""
    return f"/offers/v1.0/aws/{offer}/current/{region}/index.csv"


SERVICES = {
    "alarm_month": 0.1, "capacity_unit_hour": 0.008, "data_out_gb": 0.09, "gp3_gb_month": 0.088,
    "kms_10k_requests": 0.03, "kms_key_month": 1.0, "load_balancer_hour": 0.0252, "log_gb": 0.57, "log_gb_month": 0.03,
    "metric_month": 0.3, "public_ipv4_hour": 0.005, "s3_1k_reads": 0.0004, "s3_1k_writes": 0.005, "s3_gb_month": 0.023,
}  # fmt: skip
"""What the files of `site` say."""
