"""What a stack costs: every kind of thing that is paid for is in the sum, at the prices of the stack's region."""

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration import costs, prices
from infra.configuration.instance_types import instance_type
from infra.configuration.stack_file import read_stack
from tests.infra.conftest import ROOT
from tests.petpark.account.fake_account import settings

TABLE = prices.load()
with tempfile.TemporaryDirectory() as folder:
    TEST, PROD = (read_stack(settings(Path(folder), stack), stack) for stack in ("test", "prod"))

HERE = TABLE.region(TEST.region)


def total(stack):
    return sum(item.month for item in costs.monthly(stack, TABLE))


def at(region, stack=TEST):
    return dataclasses.replace(stack, region=region)


@given(st.integers(0, 100))
def test_each_instance_of_a_group_costs_its_hours_its_disk_its_address_and_its_polls(count):
    endpoint = dataclasses.replace(PROD.endpoint, min_instances=count, max_instances=100)
    hourly = HERE.instance_hour("c7i.large") + HERE.service("public_ipv4_hour")
    polls = 3 * 730 * 3600 / 2 / 1000 * HERE.service("s3_1k_reads")
    one = 730 * hourly + 20 * HERE.service("gp3_gb_month") + polls
    without = total(dataclasses.replace(PROD, endpoint=dataclasses.replace(endpoint, min_instances=0)))
    assert total(dataclasses.replace(PROD, endpoint=endpoint)) == pytest.approx(without + count * one)


def test_the_owner_of_the_platform_pays_for_keys_and_photos():
    other = dataclasses.replace(TEST, platform_stack="shared")
    keys = 2 * HERE.service("kms_key_month") + 10 * HERE.service("kms_10k_requests")
    requests = 100 * (HERE.service("s3_1k_writes") + HERE.service("s3_1k_reads"))
    photos = 50 * HERE.service("s3_gb_month") + requests
    watched = (24 + 1 + 2 * 3) * HERE.service("alarm_month") + (1 + 2 * 3) * HERE.service("metric_month")
    jobs = 2 * 730 / 6 + 1 + 730 / 24  # comparisons of two stacks, monthly reports, monitoring pages
    scheduled = jobs * 10 / 60 * (HERE.instance_hour("c7i.xlarge") + HERE.service("public_ipv4_hour"))
    assert total(TEST) - total(other) == pytest.approx(keys + photos + watched + scheduled)


def test_an_hour_of_training_grows_with_its_instances():
    training = dataclasses.replace(TEST.training, instances=4)
    four = costs.training_hour(dataclasses.replace(TEST, training=training), TABLE)
    assert four == pytest.approx(4 * costs.training_hour(TEST, TABLE))
    assert four / 4 == pytest.approx(HERE.instance_hour("g5.xlarge") + 200 * HERE.service("gp3_gb_month") / 730 + 0.005)


@pytest.mark.parametrize("region", sorted(TABLE.regions))
def test_prices_are_those_of_the_stacks_region(region):
    endpoint = costs.monthly(at(region), TABLE)[0]
    assert endpoint.month == pytest.approx(730 * TABLE.regions[region].instances.usd["c7i.large"])


def test_logs_that_are_kept_longer_cost_more():
    longer = dataclasses.replace(TEST, log_days=365)
    stored = 2 * (365 - TEST.log_days) * 12 / 365
    assert total(longer) - total(TEST) == pytest.approx(stored * HERE.service("log_gb_month"))


def test_every_line_says_what_it_assumes_and_what_it_is_part_of():
    for stack in (TEST, PROD):
        for item in costs.monthly(stack, TABLE):
            assert item.component in costs.COMPONENTS
            assert item.assumption
            assert item.month > 0


def test_a_type_or_a_region_without_a_price_is_named():
    endpoint = dataclasses.replace(TEST.endpoint, instance_type=instance_type("x2gd.large"))
    with pytest.raises(prices.PriceUnknown, match=r"no price for x2gd\.large in eu-west-1"):
        costs.monthly(dataclasses.replace(TEST, endpoint=endpoint), TABLE)
    with pytest.raises(prices.PriceUnknown, match=r"no prices for sa-east-1, only for eu-west-1, us-east-1"):
        costs.training_hour(at("sa-east-1"), TABLE)


def test_a_comparison_shows_each_component_before_and_after():
    bigger = dataclasses.replace(TEST.endpoint, instance_type=instance_type("c7i.xlarge"))
    training = dataclasses.replace(TEST.training, instances=2)
    after = dataclasses.replace(TEST, endpoint=bigger, training=training)
    found = {each.component: each for each in costs.compare(TEST, after, TABLE)}
    assert list(found) == ["endpoint", "monitoring", "platform", "training"]
    more = 730 * (HERE.instance_hour("c7i.xlarge") - HERE.instance_hour("c7i.large"))
    assert found["endpoint"].after - found["endpoint"].before == pytest.approx(more)
    assert found["monitoring"].before == found["monitoring"].after
    assert found["training"].after == pytest.approx(2 * found["training"].before)
    assert [each.unit for each in found.values()] == ["month", "month", "month", "hour"]


def test_the_components_make_the_sum_and_a_guest_stack_trains_for_nothing():
    found = {each.component: each for each in costs.compare(TEST, PROD, TABLE)}
    for side, stack in (("before", TEST), ("after", PROD)):
        parts = sum(getattr(each, side) for each in found.values() if each.unit == "month")
        assert parts == pytest.approx(total(stack))
    assert found["platform"].after == 0
    assert found["training"].after == 0


def test_what_the_program_makes_and_aws_charges_for_is_in_the_sum(deployments):
    """Types that cost by the hour or month for being there; the rest of the program's types cost nothing to have."""
    charged = {
        "Instance",
        "LoadBalancer",
        "Key",
        "MetricAlarm",
        "CompositeAlarm",
        "Dashboard",
        "Group",
        "LogMetricFilter",
    }
    unpriced = {"NatGateway", "Eip", "VpcEndpoint", "HostedZone", "Table", "Secret"}
    for deployment in deployments.values():
        made = {resource.type.rpartition(":")[2] for resource in deployment.resources}
        counts = {name: sum(r.type.endswith(f":{name}") for r in deployment.resources) for name in charged}
        alarms = [resource for resource in deployment.resources if resource.type.endswith(":MetricAlarm")]
        read = sum(len(alarm.inputs["metricQueries"]) - 1 for alarm in alarms if alarm.inputs.get("metricQueries"))
        owner = deployment.stack == "test"
        found = 2 * costs.FOUND_METRICS if owner else 0
        single = sum("metricName" in alarm.inputs for alarm in alarms)
        assert single <= costs.ALARMS + (costs.SPENDING_METRICS + found if owner else 0)
        kind = {"test": TEST, "prod": PROD}[deployment.stack].endpoint.kind
        of_machines = costs.MACHINE_METRICS if owner else 0
        assert read == costs.WINDOWS * costs.OBJECTIVE_METRICS[kind] + of_machines
        assert counts["CompositeAlarm"] == costs.NOTIFYING
        assert counts["Dashboard"] == 1
        assert counts["LogMetricFilter"] == costs.METRICS[kind] + found
        assert counts["Key"] == (2 if deployment.stack == "test" else 0)
        assert made & unpriced <= {"VpcEndpoint"}, "the gateway endpoint of S3 is free; price what is new"


def test_each_scheduled_job_costs_as_often_as_it_runs():
    """Every schedule's frequency is tested in `test_schedules.py`."""

    def usd(name, **changes):
        pipeline = dataclasses.replace(TEST.pipeline, **changes)
        items = costs.monthly(dataclasses.replace(TEST, pipeline=pipeline), TABLE)
        return sum(item.month for item in items if name in item.name)

    for name, setting in (
        ("comparisons", "drift_schedule"),
        ("monthly reports", "report_schedule"),
        ("monitoring pages", "monitoring_schedule"),
    ):
        monthly = usd(name, **{setting: "cron(0 6 1 * ? *)"})
        assert monthly > 0
        assert usd(name, **{setting: "cron(0 6 L * ? *)"}) == pytest.approx(monthly)
        assert usd(name, **{setting: "cron(0 6,18 1 * ? *)"}) == pytest.approx(2 * monthly)
        assert usd(name, **{setting: None}) == 0


def test_the_figures_in_the_readme_are_those_that_the_command_prints():
    readme = (ROOT / "README.md").read_text()
    for stack, settings_ in (("test", TEST), ("prod", PROD)):
        assert f"| stack `{stack}`, per month | {total(settings_):.0f} |" in readme
    assert f"| {costs.training_hour(TEST, TABLE):.2f} |\n" in readme
    assert f"List prices for {TEST.region}" in readme
