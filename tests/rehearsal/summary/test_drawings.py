"""Drawings: valid, the same for the same, and true to what they draw."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.report import architecture, timeline
from rehearsal.report.graph_layout import arrange, without_detours
from rehearsal.report.timeline import Release
from tests.rehearsal.summary.conftest import STACK, Deployed

SVG = "{http://www.w3.org/2000/svg}"
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=12)
keys = st.sampled_from("abcdefgh")
graphs = st.dictionaries(keys, st.sets(keys, max_size=4))


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_stack_is_drawn_as_valid_xml_with_every_component_and_its_count() -> None:
    found = texts(architecture.draw(STACK, title="Stack test"))
    for title in ("Network", "Model store", "Training", "Monitoring", "Stackthe stack itself"):
        assert title in found
    assert "VPC" in found
    assert [word for word in found if word.isdigit()].count("2") == 1


def test_what_a_component_has_inside_of_another_counts_as_the_outer_ones() -> None:
    boxes, needs = architecture.components(STACK)
    assert "machine" not in boxes
    assert boxes["training"].count == 1
    assert needs == {"training": {"network", "model-store"}, "monitoring": {"training"}}


def test_every_resource_is_counted_once_and_nothing_else_is() -> None:
    boxes, _ = architecture.components(STACK)
    assert sum(box.count for box in boxes.values()) == sum(map(architecture.counts, STACK)) == 6


def test_the_same_stack_gives_the_same_picture_in_whatever_order_it_is_reported() -> None:
    first = architecture.draw(STACK, title="x")
    shuffled = list(STACK)
    shuffled.reverse()
    assert architecture.draw(shuffled, title="x") == first


def test_an_empty_stack_is_an_empty_picture() -> None:
    assert texts(architecture.draw([], title="nothing")) == []


@given(names, names)
def test_any_name_gives_valid_xml(name: str, title: str) -> None:
    parts = [
        Deployed(urn="u", type=f"petpark:infra:{name}", name=name),
        Deployed(urn="r", type=name, name=name, parent="u"),
    ]
    ET.fromstring(architecture.draw(parts, title=title))


@given(graphs)
def test_every_arrow_leads_to_a_later_layer_one_layer_at_a_time(needs: dict[str, set[str]]) -> None:
    needs = {key: found - {key} for key, found in needs.items()}
    nodes = set(needs) | {key for found in needs.values() for key in found}
    edges = without_detours(needs)
    rows, chains = arrange(nodes, edges)
    layer = {key: number for number, row in enumerate(rows) for key in row}
    assert nodes <= set(layer)
    assert sum(map(len, rows)) == len(layer)
    for (tail, head), chain in zip(edges, chains, strict=True):
        assert (chain[0], chain[-1]) == (tail, head)
        assert [layer[key] for key in chain] == list(range(layer[tail], layer[tail] + len(chain)))


@given(graphs)
def test_leaving_out_detours_loses_no_dependency_but_those_of_a_circle(needs: dict[str, set[str]]) -> None:
    needs = {key: {other for other in found if other < key} for key, found in needs.items()}  # no circles

    def reachable(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
        while True:
            longer = edges | {(a, d) for a, b in edges for c, d in edges if b == c}
            if longer == edges:
                return edges
            edges = longer

    every = {(needed, needing) for needing, found in needs.items() for needed in found}
    kept = set(without_detours(needs))
    assert kept <= every
    assert reachable(kept) == reachable(every)


releases = st.builds(
    Release,
    at=st.floats(0, 1e6),
    channel=names,
    version=st.integers(1, 99),
    what=st.sampled_from(["promote", "rollback"]),
    answered_after=st.none() | st.floats(0, 1e4),
    why=names,
)


@given(st.lists(releases, max_size=12))
def test_any_releases_give_valid_xml_with_a_lane_for_every_channel(found: list[Release]) -> None:
    svg = timeline.draw(found)
    lanes = [e for e in ET.fromstring(svg).iter(f"{SVG}text") if e.get("class") == "t-lane"]
    assert len(lanes) == len({release.channel for release in found})
    assert "nan" not in svg


def test_the_time_until_an_answer_stands_below_its_move() -> None:
    svg = timeline.draw([Release(at=10, channel="prod", version=1, what="rollback", answered_after=1.66)])
    assert "back after 1.7 s" in texts(svg)
