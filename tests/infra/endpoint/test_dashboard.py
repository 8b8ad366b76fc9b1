"""The dashboard is one that CloudWatch accepts, without gaps, and each of its metrics is published."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.alarms.rules import Question
from infra.configuration.alarm_actions import ALARMS
from infra.endpoint.dashboard import COLUMNS, Graph, Metric, Section, Series, Threshold, dashboard
from infra.pipeline.alarms.pipeline_alarms import FAILURES
from tests.infra.conftest import Deployment
from tests.infra.endpoint.dashboard_picture import body_of, picture
from tests.infra.endpoint.published import PUBLISHED_BY_AWS, SPENDING, filters_of

SOURCE = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"
PROPERTIES = {
    "text": {"markdown", "background"},
    "alarm": {"alarms", "sortBy", "states", "title"},
    "metric": {
        *("accountId", "annotations", "liveData", "legend", "metrics", "period", "region", "setPeriodToTimeRange"),
        *("singleValueFullPrecision", "sparkline", "stacked", "stat", "timezone", "title", "trend", "view", "yAxis"),
    },
}
REQUIRED = {"text": {"markdown"}, "alarm": {"alarms"}, "metric": {"metrics", "region"}}
OPTIONS = {"accountId", "color", "expression", "id", "label", "period", "region", "stat", "visible", "yAxis"}
MOST_WIDGETS, MOST_ALARMS, MOST_METRICS = 500, 100, 500


def refusals(body: Mapping[str, Any]) -> list[str]:
    """What in a dashboard's body is not as AWS documents it (`SOURCE`)."""
    found = [f"unknown key {key}" for key in set(body) - {"start", "end", "periodOverride", "widgets", "variables"}]
    found += [] if body.get("periodOverride", "auto") in ("auto", "inherit") else ["periodOverride"]
    found += [] if re.fullmatch(r"-P(T[0-9]+[MH]|[0-9]+[DWM])", body["start"]) else ["start"]
    found += [] if len(body["widgets"]) <= MOST_WIDGETS else ["too many widgets"]
    for widget in body["widgets"]:
        found += [f"{widget['properties'].get('title')}: {text}" for text in _of_widget(widget)]
    return found


def _of_widget(widget: Mapping[str, Any]) -> list[str]:
    kind, properties = widget["type"], widget["properties"]
    if set(widget) != {"type", "x", "y", "width", "height", "properties"} or kind not in PROPERTIES:
        return [f"a widget of type {kind} with {sorted(widget)}"]
    found = [f"unknown property {key}" for key in set(properties) - PROPERTIES[kind]]
    found += [f"no property {key}" for key in REQUIRED[kind] - set(properties)]
    if not (widget["x"] >= 0 and widget["width"] >= 1 and widget["x"] + widget["width"] <= 24):
        found.append("outside of the 24 columns")
    if not (widget["y"] >= 0 and 1 <= widget["height"] <= 1000):
        found.append("height")
    if kind == "alarm" and not 1 <= len(properties["alarms"]) <= MOST_ALARMS:
        found.append("1 to 100 alarms")
    return found + (_of_graph(properties) if kind == "metric" else [])


def _of_graph(properties: Mapping[str, Any]) -> list[str]:
    rows = properties["metrics"]
    found = [] if 1 <= len(rows) <= MOST_METRICS else ["1 to 500 metrics"]
    ids = [row[-1]["id"] for row in rows if "id" in row[-1]]
    found += [] if len(set(ids)) == len(ids) else ["an id twice"]
    found += [f"id {each}" for each in ids if not re.fullmatch(r"[a-z][A-Za-z0-9_]*", each)]
    for row in rows:
        found += [f"unknown option {key}" for key in set(row[-1]) - OPTIONS]
        named = set(re.findall(r"\b[a-z][A-Za-z0-9_]*\b", row[-1].get("expression", "")))
        found += [f"no metric {each}" for each in named - set(ids)]
    for each in properties.get("annotations", {}).get("horizontal", []):
        if set(each) - {"color", "fill", "label", "value", "visible", "yAxis"} or each["fill"] not in (
            "above",
            "below",
        ):
            found.append("annotation")
    if set(properties["yAxis"]["left"]) - {"label", "max", "min", "showUnits"}:
        found.append("yAxis")
    return found


def gaps(body: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Cells above the lowest widget that no widget has. Fails where two widgets overlap."""
    taken: set[tuple[int, int]] = set()
    for each in body["widgets"]:
        cells = {
            (x, y)
            for x in range(each["x"], each["x"] + each["width"])
            for y in range(each["y"], each["y"] + each["height"])
        }
        assert not cells & taken
        taken |= cells
    return sorted({(x, y) for x in range(COLUMNS) for y in range(1 + max(y for _, y in taken))} - taken)


def sections() -> st.SearchStrategy[list[Section]]:
    metric = Metric(namespace="petpark", metric="m", dimensions={}, statistic="Sum")
    graph = Graph(
        question=Question.UP,
        title="t",
        unit="u",
        series=[Series(label="s", metrics={"m0": metric})],
        thresholds=[Threshold(value=1, label="alarm")],
        period=60,
    )
    alarms = st.lists(st.integers(0, 9).map(lambda n: f"arn:aws:cloudwatch:eu-west-1:1:alarm:{n}"), max_size=30)
    graphs = st.integers(0, 20).map(lambda count: [graph] * count)
    section = st.builds(Section, question=st.sampled_from(Question), text=st.just("x"), alarms=alarms, graphs=graphs)
    return st.lists(section, max_size=5)


@given(sections(), st.sampled_from([None, "https://example.org/runbook.md"]))
def test_every_layout_is_one_that_cloudwatch_accepts_without_gaps(of, runbook):
    body = dashboard(of, title="petpark-test", runbook=runbook, region="eu-west-1")
    assert not refusals(body), SOURCE
    assert not gaps(body)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"x": 20}, "outside of the 24 columns"),
        ({"properties": {"metrics": [], "yAxis": {"left": {}}}}, "no property region"),
        ({"properties": {"metrics": [["n", "m", {"stats": "Sum"}]], "region": "r", "yAxis": {"left": {}}}}, "stats"),
        ({"type": "number"}, "type number"),
    ],
)
def test_what_cloudwatch_does_not_accept_is_found(deployments, change, refused):
    body = body_of(deployments["test"])
    number = next(number for number, each in enumerate(body["widgets"]) if each["type"] == "metric")
    body["widgets"][number] |= change
    assert any(refused in each for each in refusals(body))


def test_the_stacks_dashboards_are_accepted_and_have_no_gaps(deployments):
    for deployment in deployments.values():
        assert not refusals(body_of(deployment)), SOURCE
        assert not gaps(body_of(deployment))


def test_every_alarm_that_notifies_is_in_the_section_of_its_question(deployments):
    for deployment in deployments.values():
        shown = [arn for widget in _widgets(deployment, "alarm") for arn in widget["properties"]["alarms"]]
        notifying = [r for r in deployment.resources if r.type.endswith("Alarm") and r.inputs.get("alarmActions")]
        assert len(shown) == len(set(shown)) == len(notifying)


def test_every_metric_that_an_alarm_reads_is_drawn_with_its_threshold(deployments):
    for deployment in deployments.values():
        drawn = {(row[0], row[1]) for graph in _graphs(deployment) for row in graph["metrics"] if len(row) > 1}
        alarms = [r.inputs for r in deployment.resources if r.type.endswith("MetricAlarm")]
        read = {(each["namespace"], each["metricName"]) for each in alarms if "metricName" in each}
        queries = [query["metric"] for each in alarms for query in each.get("metricQueries", []) if "metric" in query]
        assert read | {(each["namespace"], each["metricName"]) for each in queries} <= drawn
        without = {graph["title"] for graph in _graphs(deployment) if "annotations" not in graph}
        assert without == {"Requests"}


def test_every_metric_that_is_drawn_is_one_that_is_published_with_these_dimensions(deployments):
    for deployment in deployments.values():
        filters = filters_of(deployment)
        for graph in _graphs(deployment):
            for *row, options in graph["metrics"]:
                if not row:
                    continue
                key, dimensions = (row[0], row[1]), set(row[2::2])
                if key in filters or key == SPENDING:
                    assert not dimensions
                elif key[0] == "AWS/States":
                    assert key[1] in FAILURES
                    assert {"StateMachineArn"} <= dimensions <= {"StateMachineArn", "Alias"}
                else:
                    published, statistics, source = PUBLISHED_BY_AWS[key]
                    assert dimensions == published, source
                    assert options["stat"] in statistics, source


def test_a_threshold_is_where_the_alarm_starts_in_the_units_of_the_graph(deployments):
    drawn = {graph["title"]: graph["annotations"]["horizontal"][0] for graph in _graphs(deployments["prod"])[1:]}
    assert {title: (each["value"], each["fill"], each["label"]) for title, each in drawn.items()} == {
        "Requests answered with an error, in 5 minutes": (1.44, "above", "alarm above 1.44 here and over 1h"),
        "Requests answered too slowly, in 5 minutes": (14.4, "above", "alarm above 14.4 here and over 1h"),
        "Errors (status 500 and above)": (5, "above", "alarm at 5 or more"),
        "Errors of the load balancer itself": (5, "above", "alarm at 5 or more"),
        "Response time, 99th percentile": (500, "above", "alarm above 500"),
        "Instances in service": (1, "below", "alarm below 1"),
        "TLS certificate, time left": (14, "below", "alarm at 14 or less"),
        "Fullest disk": (85, "above", "alarm at 85 or more"),
        "An instance refuses its version": (1, "above", "alarm at 1 or more"),
        "Time without an answer from the model store": (300, "above", "alarm at 300 or more"),
        "Certificate of the version, time left": (14, "below", "alarm at 14 or less"),
        "Time on another version than the channel's": (300, "above", "alarm at 300 or more"),
        "Lost recorded predictions": (1, "above", "alarm at 1 or more"),
    }
    (response,) = [each for each in _graphs(deployments["prod"]) if each["title"].startswith("Response time")]
    assert response["metrics"][-1][0]["expression"] == "1000 * m0"  # the load balancer's are seconds


def test_sections_come_in_the_order_of_the_questions_and_link_to_the_runbook(redeploy):
    address = "https://example.org/petpark/runbook.md"
    for stack, questions in (("test", list(Question)), ("prod", [*[*Question][:3], Question.COST])):
        deployment = redeploy(stack, runbook_url=address)
        texts = [widget["properties"]["markdown"] for widget in _widgets(deployment, "text")]
        assert [text.splitlines()[0] for text in texts] == [f"# petpark-{stack}", *(f"## {each}" for each in questions)]
        linked = re.findall(rf"\[([a-z-]+)\]\({re.escape(address)}#([a-z-]+)\)", "".join(texts))
        alarms = [r.inputs for r in deployment.resources if r.type.endswith("Alarm") and r.inputs.get("alarmActions")]
        entries = {each["alarmDescription"].rpartition(f" {address}#")[2] for each in alarms}
        assert {entry for entry, _ in linked} == {entry for _, entry in linked} == entries <= set(ALARMS)


def test_the_dashboard_of_a_stack_without_the_platform_names_the_one_that_has_drift_and_jobs(deployments):
    texts = "".join(widget["properties"]["markdown"] for widget in _widgets(deployments["prod"], "text"))
    assert "estimated accuracy: see the dashboard petpark-test." in texts
    assert "Costs of jobs: see the dashboard petpark-test." in texts
    assert "the dashboard" not in json.dumps(body_of(deployments["test"]))


def test_a_picture_of_the_dashboard_shows_every_widget(deployments):
    body = body_of(deployments["test"])
    assert picture(body).count("<section") == len(body["widgets"])


def _widgets(deployment: Deployment, kind: str) -> list[dict[str, Any]]:
    return [each for each in body_of(deployment)["widgets"] if each["type"] == kind]


def _graphs(deployment: Deployment) -> list[dict[str, Any]]:
    return [each["properties"] for each in _widgets(deployment, "metric")]
