"""Reports and ingestion records next to their dataset in the data lake, create-only; the newest report counts."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from registry.encoding import SHA256, canonical, parse_canonical, sha256_hex
from registry.errors import ObjectExists
from registry.layout.data_lake import ingestion_key, ingestions_prefix, quality_key, quality_prefix
from registry.store.object_store import ObjectStore
from training.dataset.changes import history
from training.dataset.sources.source import printable
from training.errors import DatasetRefused, ManifestMalformed, SplitsLeak
from training.plan import DataGates
from training.quality.gates import judge
from training.quality.report import QualityReport

_NUMBER: Final = re.compile(r"(\d{6})\.(?:json|html)")
_NAMED: Final = 3


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What of a stored report decides whether a model may be made."""

    number: int
    at: str
    measures: dict[str, float]
    leaks: tuple[tuple[str, str], ...]  # keys of photos in different splits that show the same, the first of them


def store(lake: ObjectStore, report: QualityReport, page: str) -> int:
    """Store a report and its page under the next number, and return it. The page first: the report makes it count."""
    number = max(_numbers(lake, report.dataset), default=0)
    while True:
        number += 1
        with suppress(ObjectExists):  # another writer was faster
            lake.create(quality_key(report.dataset, number, "html"), page.encode())
            lake.create(quality_key(report.dataset, number, "json"), report.to_json())
            return number


def newest(lake: ObjectStore, dataset: str) -> Stored | None:
    """The report that counts; None if there is none. ManifestMalformed if it cannot be read."""
    found = [key for key in lake.keys(quality_prefix(dataset)) if key.endswith(".json")]
    if not found:
        return None
    try:
        fields = parse_canonical(lake.get(found[-1]))
        pairs = [
            (each.text("key"), each.texts("beside")[0])
            for part in fields.nested_list("characteristics")
            for finding in part.nested_list("findings")
            if finding.text("name") == "leaks"
            for each in finding.nested_list("photos")[:_NAMED]
        ]
        return Stored(
            number=_number(found[-1]),
            at=fields.text("at"),
            measures=fields.mapping_to_number("measures"),
            leaks=tuple(pairs),
        )
    except ValueError as error:
        raise ManifestMalformed(
            f"the newest quality report of dataset {dataset[:12]} cannot be read: {error}; make another one "
            "(petpark data report)"
        ) from error


def refuse_doubtful(lake: ObjectStore, dataset: str, gates: DataGates | None) -> None:
    """Raise DatasetRefused unless the newest report passes `gates`; SplitsLeak where it saw more pairs than they allow.

    Without gates nobody has to have made a report; what one saw leaking between splits counts all the same. Where a
    report was made without networks, `refuse_leaks` has looked for leaks alone.
    """
    found = newest(lake, dataset)
    seen = 0 if found is None else found.measures.get("leaks", 0)
    if found is not None and seen > (gates or DataGates()).leaks:
        named = "; ".join(f"{one} and {other}" for one, other in found.leaks)
        raise SplitsLeak(
            f"{seen:,.0f} pairs of photos show the same and are in different splits, by quality report {found.number}, "
            f"first: {named}; a test on them would promise too much. Leave one of each out (petpark data exclude)"
        )
    if gates is None:
        return
    if found is None:
        raise DatasetRefused(
            f"the job has data gates, and dataset {dataset[:12]} has no quality report; "
            f"make one: petpark data report {dataset[:12]}"
        )
    results = [result for result in judge(gates, found.measures) if result.measured or result.name != "leaks"]
    if wanting := [result for result in results if not result.passed]:
        failures = "; ".join(f"{result.name}: {result.asked}, found {result.found}" for result in wanting)
        raise DatasetRefused(
            f"quality report {found.number} of dataset {dataset[:12]} does not pass {failures}. To list the photos and "
            f"how to fix them: petpark data report {dataset[:12]}"
        )


def record_skipped(
    lake: ObjectStore, dataset: str, *, source: str, skipped: Sequence[tuple[str, str]], at: str
) -> None:
    """Store what an ingestion skipped, which the manifest does not have, for later reports."""
    left_out = [{"key": printable(key), "why": printable(why)} for key, why in skipped]
    body = canonical({"dataset": dataset, "source": printable(source), "at": at, "skipped": left_out})
    _read_ingestion(body)  # nothing is stored that a report would stumble over
    with suppress(ObjectExists):  # the same bytes, for the key is their hash
        lake.create(ingestion_key(dataset, sha256_hex(body)), body)


def recorded_skipped(lake: ObjectStore, dataset: str) -> list[tuple[str, str]] | None:
    """What the newest ingestion of a dataset, or of the nearest that it was made from, left out; None: not recorded."""
    for each in (dataset, *(change.parent for change in history(lake, dataset) if change.parent)):
        records = [_read_ingestion(lake.get(key)) for key in lake.keys(ingestions_prefix(each))]
        if records:
            return max(records)[1]
    return None


def _read_ingestion(data: bytes) -> tuple[str, list[tuple[str, str]]]:
    try:
        fields = parse_canonical(data)
        _ = fields.text("dataset", SHA256), fields.text("source")
        found = fields.text("at"), [(each.text("key"), each.text("why")) for each in fields.nested_list("skipped")]
        fields.done()
    except ValueError as error:
        raise ManifestMalformed(f"a dataset's ingestion record cannot be read: {error}") from error
    return found


def _numbers(lake: ObjectStore, dataset: str) -> list[int]:
    return [_number(key) for key in lake.keys(quality_prefix(dataset))]


def _number(key: str) -> int:
    match = _NUMBER.fullmatch(key.rpartition("/")[2])
    return int(match[1]) if match else 0
