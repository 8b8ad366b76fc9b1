"""The table from price lists of a publisher on loopback: the right rows in the end, or the table as it was."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path
from types import MappingProxyType

import pytest
from typer.testing import CliRunner, Result

from infra.configuration import prices
from infra.configuration.prices import PriceTable, parse, render
from petpark.__main__ import app
from petpark.downloads import fetch as downloads
from petpark.downloads.errors import ArchiveMissing, PublisherUnreachable
from petpark.downloads.fetch import Timeouts
from petpark.downloads.progress import Report
from petpark.errors import OperatorError
from petpark.prices.errors import PriceListRefused, PricesImplausible, TableNotWritable
from petpark.prices.refresh import MIRROR, OFFERS, changes, refresh, refuse_implausible, write
from petpark.prices.selection import SELECTORS
from tests.loopback_publisher import Answer, Publisher, proxy, publisher
from tests.petpark.prices.lists import SERVICES, instance, listed, path, service, site

TABLE = prices.load()
TIMEOUTS = Timeouts(connect=5, read=5, pause=lambda _: None)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[Publisher]:
    with publisher() as made:
        made.files |= site(g5_xlarge="1.2", c7i_large="0.1", zz9_large="7")
        yield made


def small() -> PriceTable:
    """The table with two types in one region."""
    region = TABLE.region("eu-west-1")
    usd = MappingProxyType({"c7i.large": 0.09576, "g5.xlarge": 1.123})
    region = dataclasses.replace(region, instances=dataclasses.replace(region.instances, usd=usd))
    return dataclasses.replace(TABLE, regions=MappingProxyType({"eu-west-1": region}))


def refreshed(server: Publisher, *regions: str, table: PriceTable | None = None) -> PriceTable:
    return refresh(
        table or small(), regions or ("eu-west-1",), silent, environment={MIRROR: server.url}, timeouts=TIMEOUTS
    )


def silent(_what: str) -> AbstractContextManager[Report]:
    return nullcontext(lambda _done, _total: None)


def test_prices_of_the_tables_types_are_read_and_no_others(server: Publisher) -> None:
    found = refreshed(server).region("eu-west-1")
    assert found.instances.usd == {"c7i.large": 0.1, "g5.xlarge": 1.2}
    assert found.services.usd == SERVICES
    assert found.instances.date == date(2026, 11, 20)
    assert "AmazonEC2 20261120170528" in found.instances.source


def test_in_us_east_1_usage_types_have_no_prefix_or_a_name_of_its_own(server: Publisher) -> None:
    server.files |= site("us-east-1", "USE1-", c7i_large="0.09")
    found = refreshed(server, "us-east-1")
    assert found.region("us-east-1").services.usd == SERVICES
    assert found.region("eu-west-1") == small().region("eu-west-1")


def test_every_service_has_its_selector_and_its_list() -> None:
    assert SELECTORS.keys() == prices.SERVICES.keys()
    assert OFFERS[0] == "AmazonEC2"
    assert {selector.offer for selector in SELECTORS.values()} <= set(OFFERS)


def test_the_services_date_is_that_of_the_oldest_list(server: Publisher) -> None:
    rows = [service("EU-PublicIPv4:InUseAddress", "0.005", "Hrs")]
    server.files[path("AmazonVPC")] = listed("AmazonVPC", rows, published="2025-01-02T00:00:00Z")
    found = refreshed(server).region("eu-west-1")
    assert found.services.date == date(2025, 1, 2)
    assert found.oldest == date(2025, 1, 2)


def test_a_broken_connection_is_continued_where_it_broke(server: Publisher) -> None:
    server.answers = [Answer(cut=len(server.files[path("AmazonEC2")]) // 2)]
    assert refreshed(server).region("eu-west-1").services.usd == SERVICES
    first, second = server.asked[:2]
    assert first[0] == second[0] == path("AmazonEC2")
    assert second[1].startswith("bytes=")


def test_an_answer_that_may_pass_is_asked_for_again(server: Publisher) -> None:
    server.answers = [Answer(status=503), Answer(status=429)]
    assert refreshed(server).region("eu-west-1").services.usd == SERVICES


def test_a_connection_that_always_breaks_ends_with_a_sentence(server: Publisher) -> None:
    server.answers = [Answer(cut=0) for _ in range(60)]
    with pytest.raises(PublisherUnreachable):
        refreshed(server)
    assert len(server.asked) < 10


type Fault = Callable[[Publisher], object]


def _replaced(offer: str, content: bytes) -> Fault:
    def change(server: Publisher) -> None:
        server.files[path(offer)] = content

    return change


def _removed(offer: str) -> Fault:
    return lambda server: server.files.pop(path(offer))


ELSEWHERE = listed("AmazonEC2", [instance("c7i.large", "0.1", region="eu-west-3", prefix="EUW3-")])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (_removed("AWSELB"), ArchiveMissing, "404"),
        (_replaced("AmazonEC2", b""), PriceListRefused, "begins with nothing"),
        (_replaced("AmazonS3", b"<html>"), PriceListRefused, "begins with"),
        (_replaced("AmazonEC2", listed("AmazonEC2", [])), PriceListRefused, "no prices"),
        (_replaced("AmazonEC2", ELSEWHERE), PriceListRefused, "no price of a known type in eu-west-1"),
        (
            _replaced("AmazonEC2", listed("AmazonEC2", [instance("c7i.large", "0.7", Currency="CNY")])),
            PriceListRefused,
            "CNY",
        ),
        (
            _replaced("AmazonEC2", listed("AmazonEC2", [instance("c7i.large", usd) for usd in ("0.1", "0.2")])),
            PriceListRefused,
            "two prices for c7i.large",
        ),
        (
            _replaced("awskms", listed("awskms", [service("eu-west-1-KMS-Keys", "1", "Keys")])),
            PriceListRefused,
            "no price for 10,000 requests to a symmetric KMS key",
        ),
        (
            _replaced("awskms", listed("awskms", [service("eu-west-1-KMS-Keys", "1", "Keys", Currency="CNY")])),
            PriceListRefused,
            "CNY",
        ),
    ],
)
def test_what_is_no_usable_list_is_refused(
    server: Publisher, change: Fault, error: type[OperatorError], said: str
) -> None:
    change(server)
    with pytest.raises(error, match=said):
        refreshed(server)


@pytest.mark.parametrize("address", ["http://mirror.example", "ftp://localhost", "https://", "https://[", "//x", "x"])
def test_prices_are_not_read_over_plain_http_from_elsewhere(server: Publisher, address: str) -> None:
    with pytest.raises(PriceListRefused, match="not an https address"):
        refresh(small(), ["eu-west-1"], silent, environment={MIRROR: address})
    assert not server.asked


@pytest.mark.parametrize("name", ["", "eu-west-1/..", "EU-WEST-1", "moon"])
def test_what_is_no_region_is_not_asked_for(server: Publisher, name: str) -> None:
    with pytest.raises(PriceListRefused, match="is no region"):
        refreshed(server, name)
    assert not server.asked


def test_a_proxy_of_the_environment_is_used(server: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_LOOPBACK", ())
    with proxy(server.url) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        assert refreshed(server).region("eu-west-1").services.usd == SERVICES
        assert any(path("AmazonEC2") in asked for asked in between.asked)


def with_price(usd: float | None) -> PriceTable:
    table = small()
    region = table.region("eu-west-1")
    new = {**region.instances.usd, "g5.xlarge": usd}
    usd_ = MappingProxyType({name: value for name, value in new.items() if value is not None})
    region = dataclasses.replace(region, instances=dataclasses.replace(region.instances, usd=usd_))
    return dataclasses.replace(table, regions=MappingProxyType({"eu-west-1": region}))


@pytest.mark.parametrize(("usd", "refused"), [(5.61, False), (0.225, False), (5.62, True), (0.224, True)])
def test_a_price_that_moved_by_more_than_five_times_is_refused(usd: float, refused: bool) -> None:
    found = changes(small(), with_price(usd))
    assert [(each.what, each.before, each.after) for each in found] == [("g5.xlarge", 1.123, usd)]
    if refused:
        with pytest.raises(PricesImplausible, match=r"g5\.xlarge in eu-west-1: 1\.123 USD, now"):
            refuse_implausible(found)
    else:
        refuse_implausible(found)


def test_a_type_that_is_gone_is_refused_and_one_that_is_new_is_not() -> None:
    with pytest.raises(PricesImplausible, match=r"g5\.xlarge in eu-west-1: 1\.123 USD, now none"):
        refuse_implausible(changes(small(), with_price(None)))
    refuse_implausible(changes(with_price(None), small()))


def test_a_table_that_cannot_be_written_leaves_no_trace(tmp_path: Path) -> None:
    blocked = tmp_path / "prices.json"
    blocked.mkdir()
    with pytest.raises(TableNotWritable):
        write(TABLE, blocked)
    assert [each.name for each in tmp_path.iterdir()] == ["prices.json"]


@dataclasses.dataclass
class Command:
    """The command, on a table of its own."""

    file: Path

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["prices", "refresh", *words])


@pytest.fixture
def command(server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    file = tmp_path / "prices.json"
    file.write_text(render(small()))
    monkeypatch.setattr(prices, "FILE", file)
    monkeypatch.setattr(prices, "load", lambda: parse(file.read_text()))
    monkeypatch.setenv(MIRROR, server.url)
    return Command(file)


def test_the_command_rewrites_the_table_and_says_what_changed(command: Command) -> None:
    said = command()
    assert said.exit_code == 0, said.output
    assert "g5.xlarge" in said.stdout
    assert "1.123" in said.stdout
    assert "Wrote prices.json: eu-west-1, lists of 2026-11-20" in said.stdout
    assert parse(command.file.read_text()).region("eu-west-1").instances.usd["g5.xlarge"] == 1.2
    again = command()
    assert "No price has changed." in again.stdout


def test_the_command_changes_nothing_that_is_implausible_unless_told_so(command: Command, server: Publisher) -> None:
    server.files |= site(g5_xlarge="11.23", c7i_large="0.1")
    before = command.file.read_text()
    refused = command()
    assert refused.exit_code == 2
    assert "PricesImplausible" in refused.stderr
    assert "--yes" in refused.stderr
    assert command.file.read_text() == before
    taken = json.loads(command("--yes", "--json").stdout)
    assert {"region": "eu-west-1", "what": "g5.xlarge", "before": 1.123, "after": 11.23} in taken["changes"]


def test_a_new_region_is_added_beside_the_others(command: Command, server: Publisher) -> None:
    server.files |= site("eu-central-1", "EUC1-", c7i_large="0.10185")
    assert command("--region", "eu-central-1").exit_code == 0
    table = parse(command.file.read_text())
    assert table.region("eu-central-1").instances.usd == {"c7i.large": 0.10185}
    assert table.region("eu-west-1") == small().region("eu-west-1")


def test_an_error_leaves_the_table_as_it_was(command: Command, server: Publisher) -> None:
    before = command.file.read_text()
    del server.files[path("AmazonS3")]
    ended = command()
    assert ended.exit_code == 2
    assert "404" in ended.stderr
    assert command.file.read_text() == before


def test_all_failures_are_named_outcomes() -> None:
    assert all(issubclass(each, OperatorError) for each in (PriceListRefused, PricesImplausible, TableNotWritable))
