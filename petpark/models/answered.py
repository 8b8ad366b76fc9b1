"""From the id of a recorded prediction to its model version, and the people who approved that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from petpark.errors import PredictionNotFound
from petpark.models import model_versions, past
from petpark.models.proof import Proof, prove
from petpark.targets.target import Target
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.certificates.certificate import Certificate
    from registry.channels.channel import ChannelEntry
    from registry.channels.experiment import Experiment
    from registry.version import Version


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One recorded prediction and its provenance."""

    row: Mapping[str, Any]
    """Its columns: docs/design/telemetry.md."""
    version: Version | None
    """None if the registry has no such version; a proof reports it."""
    entry: ChannelEntry | None
    """The channel's entry that was active."""
    experiment: Experiment | None
    """The experiment whose challenger predicted it."""
    certificate: Certificate | None
    """The decision about the version that was valid then."""
    proofs: Sequence[Proof]
    """Checks that record and registry agree."""

    @property
    def sound(self) -> bool:
        """Whether record and registry agree."""
        return all(proof.ok for proof in self.proofs)


def who(target: Target, request_id: str, *, camera: str | None, until: datetime, days: int) -> list[Answered]:
    """Returns the provenance of the recorded predictions with this id: one, or those of a batch.

    Reads records of the target's stack from `days` before `until`, newest first. Raises `PredictionNotFound`.
    """
    from monitoring.predictions import find

    stack = target.outputs.stack
    lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)
    rows = find(lake, stack, request_id, camera=camera, start=until - timedelta(days=days), end=until)
    if not rows:
        where = f" of camera {camera}" if camera else ""
        raise PredictionNotFound(
            f"No prediction with the id {request_id}{where} is recorded in the {days} days before "
            f"{until:%Y-%m-%d %H:%M} UTC by stack {stack}.",
            next_step="It may be older (--days N), not stored yet (up to 6 minutes), or not in the sample "
            f"(petpark:telemetry_sample_percent). Active versions then: petpark models at {until:%Y-%m-%dT%H:%M}",
        )
    return [_answered(target, row) for row in rows]


def _answered(target: Target, row: Mapping[str, Any]) -> Answered:
    from registry.channels.experiment import Experiments

    number, digest, channel = row["version"], row["digest"], row["channel"]
    store = target.store(target.outputs.model_store, role=Role.READER)
    history = model_versions.channel(target, channel).history()
    entry = next((each for each in history if each.number == row["entry"]), None)
    experiment = None
    if row["arm"] == "challenger":
        entries = Experiments(store, target.outputs.model, channel).history()
        experiment = past.experiment_at(entries, row["at"], entry)
    found: list[Version] = []

    def version() -> str:
        from registry.versions.catalog import Catalog

        found.append(Catalog(store, row["model"]).version(number, digest=digest))
        return f"{found[0].title} has the recorded digest"

    def decided() -> str:
        from registry.errors import HistoryBroken

        named = experiment or entry
        what = f"experiments of {channel}" if row["arm"] == "challenger" else f"channel {channel}"
        if named is None or (named.version, named.digest) != (number, digest):
            actual = "no such entry" if named is None else f"version {named.version} with digest {named.digest}"
            raise HistoryBroken(what, expected=f"an entry for version {number} with {digest}", actual=actual)
        return f"{what}, entry {named.number} names this version; the chain of hashes is intact"

    proofs = [prove("version", version), prove("entry", decided)]
    certificate = past.decision_at(target, found[0], row["at"]) if found else None
    return Answered(
        row=row,
        version=found[0] if found else None,
        entry=entry,
        experiment=experiment,
        certificate=certificate,
        proofs=proofs,
    )
