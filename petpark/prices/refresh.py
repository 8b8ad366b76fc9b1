"""Updates the table of prices from AWS's public price lists."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from infra.configuration.prices import SERVICES, PriceTable, RegionPrices, Section, parse, render
from petpark.downloads.fetch import Timeouts, fetch, open_client
from petpark.downloads.progress import Report
from petpark.prices.errors import PriceListRefused, PricesImplausible, TableNotWritable
from petpark.prices.price_list import open_list
from petpark.prices.selection import EC2, SELECTORS, Found, columns

MIRROR = "PETPARK_PRICE_LISTS"
"""Environment variable: a server with AWS's paths to read instead of `PUBLISHER`."""

PUBLISHER = "https://pricing.us-east-1.amazonaws.com"
"""https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-bulk-api-fetching-price-list-files-manually.html"""

OFFERS = (EC2, *sorted({selector.offer for selector in SELECTORS.values()} - {EC2}))
"""Services whose lists are read, EC2's first."""

_LARGEST = 4_000_000_000
"""Bytes of a file at most; EC2's of a large region has some hundreds of millions."""

_MOST = 5
"""A price that moved by more than this factor is taken for a mistake."""

_REGION_NAME = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

type Showing = Callable[[str], AbstractContextManager[Report]]
"""Returns the progress callback for the download of that name."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A price of the table that was added, removed or changed; USD."""

    region: str
    what: str
    before: float | None
    after: float | None


def refresh(
    table: PriceTable,
    regions: Sequence[str],
    showing: Showing,
    *,
    environment: Mapping[str, str] = os.environ,
    timeouts: Timeouts | None = None,
) -> PriceTable:
    """`table` with today's prices of `regions`; what types have stays as it is. Files are read one after another.

    Raises what `fetch` does, and `PriceListRefused`.
    """
    base = _base(environment)
    if wrong := [name for name in regions if not _REGION_NAME.fullmatch(name)]:
        raise PriceListRefused(f"{', '.join(map(repr, wrong))} is no region.", next_step="Name one such as eu-west-1.")
    read = {name: _region(name, table, base, showing, timeouts) for name in regions}
    return replace(table, regions=MappingProxyType({**table.regions, **read}))


def changes(before: PriceTable, after: PriceTable) -> list[Change]:
    """All prices that differ, by region and name."""
    found: list[Change] = []
    for region in sorted(before.regions.keys() | after.regions.keys()):
        old, new = (_prices(table, region) for table in (before, after))
        found += [
            Change(region=region, what=what, before=old.get(what), after=new.get(what))
            for what in sorted(old.keys() | new.keys())
            if old.get(what) != new.get(what)
        ]
    return found


def refuse_implausible(found: Sequence[Change]) -> None:
    """Raise `PricesImplausible` for a price that was removed, or that changed by more than a factor of five."""
    wrong = [
        f"{change.what} in {change.region}: {_usd(change.before)}, now {_usd(change.after)}"
        for change in found
        if change.before is not None
        and (change.after is None or max(change.before, change.after) > _MOST * min(change.before, change.after))
    ]
    if wrong:
        raise PricesImplausible(
            f"The price lists lack a price of the table, or moved it by more than a factor of {_MOST}: "
            f"{'; '.join(wrong)}. Nothing was changed.",
            next_step="Compare with https://aws.amazon.com/ec2/pricing/; if AWS is right, run it again with --yes.",
        )


def write(table: PriceTable, path: Path) -> None:
    """Replace the file of the table, as a whole. Raises `TableNotWritable`."""
    text = render(table)
    parse(text)  # what cannot be read again is not written
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise TableNotWritable(
            f"{path} could not be written: {error.strerror}.",
            next_step="Run it in a checkout that you may write to.",
        ) from error


def _region(name: str, table: PriceTable, base: str, showing: Showing, timeouts: Timeouts | None) -> RegionPrices:
    found, published = Found(), {}
    with tempfile.TemporaryDirectory(prefix="petpark-prices-") as folder, open_client(timeouts or Timeouts()) as client:
        for offer in OFFERS:
            file = Path(folder) / f"{offer}.csv"
            url = f"{base}/offers/v1.0/aws/{offer}/current/{name}/index.csv"
            with showing(f"{offer} in {name}") as report:
                fetch(url, file, accepted=None, limit=_LARGEST, report=report, timeouts=timeouts, client=client)
            with open_list(file, offer=offer, columns=columns(offer)) as listed:
                found.read(listed, region=name, types=table.types)
                published[offer] = listed
            file.unlink()
    if not found.instances:
        raise PriceListRefused(
            f"The price list of {EC2} has no price of a known type in {name}.",
            next_step="Check the name of the region: petpark prices refresh --region eu-west-1",
        )
    if missing := [SERVICES[what] for what in SERVICES if what not in found.services]:
        raise PriceListRefused(
            f"The price lists of {name} have no price for {'; '.join(missing)}.",
            next_step="petpark must learn how AWS names it there: nothing was changed here.",
        )
    ec2 = published[EC2]
    return RegionPrices(
        name=name,
        instances=Section(
            date=ec2.published,
            source=f"AWS price list {ec2.offer} {ec2.version}",
            usd=_sorted(found.instances),
        ),
        services=Section(
            date=min(each.published for each in published.values()),
            source=f"AWS price lists {', '.join(f'{each.offer} {each.version}' for each in published.values())}",
            usd=_sorted(found.services),
        ),
    )


def _sorted(found: Mapping[str, Decimal]) -> Mapping[str, float]:
    return MappingProxyType({name: float(found[name]) for name in sorted(found)})


def _prices(table: PriceTable, region: str) -> dict[str, float]:
    prices = table.regions.get(region)
    return {} if prices is None else {**prices.instances.usd, **prices.services.usd}


def _usd(price: float | None) -> str:
    return "none" if price is None else f"{price:g} USD"


def _base(environment: Mapping[str, str]) -> str:
    """Prices are checked by nothing but TLS, so they are read without it only on this machine."""
    base = (environment.get(MIRROR) or PUBLISHER).rstrip("/")
    try:
        address = urlsplit(base)
        safe = address.hostname and address.scheme == "https"
        safe = safe or (address.scheme == "http" and address.hostname in _LOOPBACK)
    except ValueError:
        safe = False
    if not safe:
        raise PriceListRefused(
            f"{MIRROR} is not an https address.", next_step=f"Set {MIRROR} to an https address, or unset it."
        )
    return base
