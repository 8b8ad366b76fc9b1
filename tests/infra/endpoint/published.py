"""Metrics that somebody publishes: AWS, by its documentation, metric filters, and the state machine `janitor`."""

from typing import Any

from tests.infra.conftest import Deployment

BALANCERS = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html"
CERTIFICATES = "https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html"
MACHINES = "https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"
OF_TARGETS = frozenset({"LoadBalancer", "TargetGroup"})
PUBLISHED_BY_AWS: dict[tuple[str, str], tuple[frozenset[str], set[str], str]] = {
    # namespace, metric: dimensions, statistics that make sense, source
    ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"): (OF_TARGETS, {"Sum"}, BALANCERS),
    ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"): (frozenset({"LoadBalancer"}), {"Sum"}, BALANCERS),
    ("AWS/ApplicationELB", "TargetResponseTime"): (OF_TARGETS, {"Average", "p99"}, BALANCERS),
    ("AWS/ApplicationELB", "HealthyHostCount"): (OF_TARGETS, {"Average", "Minimum", "Maximum"}, BALANCERS),
    ("AWS/ApplicationELB", "RequestCount"): (frozenset({"LoadBalancer"}), {"Sum"}, BALANCERS),
    ("AWS/CertificateManager", "DaysToExpiry"): (frozenset({"CertificateArn"}), {"Minimum"}, CERTIFICATES),
}

SPENDING = ("petpark", "test-spending-usd")
"""Published by the state machine `janitor` (`infra/pipeline/alarms/spending.py`)."""


def filters_of(deployment: Deployment) -> dict[tuple[str, str], dict[str, Any]]:
    """The metric filters of a deployment, by namespace and metric."""
    filters = [r.inputs for r in deployment.resources if r.type.endswith(":LogMetricFilter")]
    made = [(entry, entry["metricTransformation"]) for entry in filters]
    return {(what["namespace"], what["name"]): dict(entry) for entry, what in made}
