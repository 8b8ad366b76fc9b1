"""What a stack costs: every kind of thing that is paid for by the hour is in the sum."""

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration import costs
from infra.instances.instance_types import instance_type
from petpark.account.stack import read_stack
from tests.infra.conftest import ROOT
from tests.petpark.account.fake_account import settings

with tempfile.TemporaryDirectory() as folder:
    TEST, PROD = (read_stack(settings(Path(folder), stack), stack) for stack in ("test", "prod"))


def total(stack):
    return sum(item.month for item in costs.monthly(stack))


@given(st.integers(0, 100))
def test_each_instance_of_a_group_costs_its_hours_its_disk_and_its_address(count):
    endpoint = dataclasses.replace(PROD.endpoint, min_instances=count, max_instances=100)
    one = 730 * (0.08925 + 0.005) + 20 * 0.08
    without = total(dataclasses.replace(PROD, endpoint=dataclasses.replace(endpoint, min_instances=0)))
    assert total(dataclasses.replace(PROD, endpoint=endpoint)) == pytest.approx(without + count * one)


def test_the_owner_of_the_platform_pays_for_keys_and_photos():
    other = dataclasses.replace(TEST, platform_stack="shared")
    assert total(TEST) - total(other) == pytest.approx(2 + 50 * 0.023)


def test_an_hour_of_training_grows_with_its_instances():
    training = dataclasses.replace(TEST.training, instances=4)
    four = costs.training_hour(dataclasses.replace(TEST, training=training))
    assert four == pytest.approx(4 * costs.training_hour(TEST))
    assert 1.0 < costs.training_hour(TEST) < 1.1


def test_a_type_without_a_price_is_named():
    endpoint = dataclasses.replace(TEST.endpoint, instance_type=instance_type("m7i.large"))
    with pytest.raises(costs.PriceUnknown, match=r"no price for m7i\.large"):
        costs.monthly(dataclasses.replace(TEST, endpoint=endpoint))


def test_what_the_program_makes_and_aws_charges_for_is_in_the_sum(deployments):
    """Types that cost by the hour or month for being there; the rest of the program's types cost nothing to have."""
    charged = {"Instance", "LoadBalancer", "Key", "MetricAlarm", "Group", "LogMetricFilter"}
    unpriced = {"NatGateway", "Eip", "VpcEndpoint", "HostedZone", "Table", "Secret"}
    for deployment in deployments.values():
        made = {resource.type.rpartition(":")[2] for resource in deployment.resources}
        counts = {name: sum(r.type.endswith(f":{name}") for r in deployment.resources) for name in charged}
        assert counts["MetricAlarm"] <= costs.ALARMS
        kind = {"test": TEST, "prod": PROD}[deployment.stack].endpoint.kind
        assert counts["LogMetricFilter"] == costs.METRICS[kind]
        assert counts["Key"] == (2 if deployment.stack == "test" else 0)
        assert made & unpriced <= {"VpcEndpoint"}, "the gateway endpoint of S3 is free; price what is new"


def test_the_figures_in_the_readme_are_those_that_the_command_prints():
    readme = (ROOT / "README.md").read_text()
    for stack, settings_ in (("test", TEST), ("prod", PROD)):
        assert f"| stack `{stack}`, per month | {total(settings_):.0f} |" in readme
    assert f"| {costs.training_hour(TEST):.2f} |\n" in readme
    assert f"{costs.REGION} in {costs.READ}" in readme
