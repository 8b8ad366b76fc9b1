"""The report on a dataset's quality: five characteristics, their gates, and what to do."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from registry.encoding import canonical, format_time
from training.dataset.manifest import Manifest
from training.plan import DataGates
from training.quality.characteristics.accuracy import accuracy
from training.quality.characteristics.completeness import completeness
from training.quality.characteristics.relevance import relevance
from training.quality.characteristics.reliability import reliability
from training.quality.characteristics.timeliness import timeliness
from training.quality.findings import Characteristic, Concern, Finding, Name
from training.quality.gates import DataGateResult, failed, judge

COMMANDED: Final = 10
"""Photos that one proposed command names."""

_BLAME: Final[Mapping[str, tuple[str, ...]]] = {"unclear": ("blurred", "dark", "overexposed", "tiny")}
"""Gates whose photos are in findings of other names."""


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """What a dataset is worth."""

    dataset: str
    at: str  # when it was made, as `registry.encoding` writes times
    by: str  # ARN of the person who requested it
    photos: int
    counts: Mapping[str, Mapping[str, int]]  # label -> split -> photos
    source: str  # where embeddings come from; empty: there are none
    characteristics: tuple[Characteristic, ...]
    gates: DataGates
    results: tuple[DataGateResult, ...]

    @property
    def measures(self) -> dict[str, float]:
        """All of them, by the names of gates."""
        return {name: value for each in self.characteristics for name, value in each.measures.items()}

    @property
    def failed(self) -> tuple[DataGateResult, ...]:
        """The gates at which the dataset is refused."""
        return failed(self.results)

    def verdict(self, name: Name) -> str:
        """How one characteristic did: `refused`, `passed`, or `not measured`."""
        own = [result for result in self.results if result.characteristic is name]
        if failed(own):
            return "refused"
        return "passed" if any(result.measured for result in own) else "not measured"

    def blamed(self) -> list[Finding]:
        """The findings behind failed gates, in their order."""
        findings = {found.name: found for each in self.characteristics for found in each.findings}
        names = [name for result in self.failed for name in _BLAME.get(result.name, (result.name,))]
        return [findings[name] for name in names if name in findings]

    def to_json(self) -> bytes:
        """RFC 8785."""
        return canonical({**asdict(self), "measures": self.measures, "refused": bool(self.failed)})


def compose(
    manifest: Manifest,
    characteristics: Iterable[Characteristic],
    *,
    gates: DataGates,
    by: str,
    at: datetime,
    source: str = "",
) -> QualityReport:
    """Hold characteristics against the gates."""
    found = tuple(characteristics)
    measures = {name: value for each in found for name, value in each.measures.items()}
    return QualityReport(
        dataset=manifest.sha256,
        at=format_time(at),
        by=by,
        photos=len(manifest.photos),
        counts=manifest.counts(),
        source=source,
        characteristics=found,
        gates=gates,
        results=judge(gates, measures),
    )


def glance(
    manifest: Manifest, *, skipped: Sequence[tuple[str, str]] | None, gates: DataGates, by: str, at: datetime
) -> QualityReport:
    """Report on what the manifest alone shows; no photo is read, and nothing trained."""
    photos = manifest.photos
    characteristics = (
        accuracy(photos, manifest.labels, None),
        completeness(manifest),
        reliability(photos, skipped=skipped),
        relevance(photos),
        timeliness(manifest, as_of=at),
    )
    return compose(manifest, characteristics, gates=gates, by=by, at=at)


def remedies(dataset: str, finding: Finding) -> list[str]:
    """Returns commands that fix a finding's first photos, to be reviewed and copied."""
    wrong: dict[str | None, list[Concern]] = defaultdict(list)
    for concern in _one_of_each(finding)[:COMMANDED]:
        wrong[concern.becomes if finding.name == "label_noise" else None].append(concern)
    return [_command(dataset, finding, becomes, concerns) for becomes, concerns in wrong.items()]


def _one_of_each(finding: Finding) -> list[Concern]:
    """Of pairs that are named from both sides, one side."""
    chosen: list[Concern] = []
    gone: set[str] = set()
    for concern in finding.photos:
        if concern.beside is None or (concern.sha256 not in gone and concern.beside[1] not in gone):
            chosen.append(concern)
            gone.add(concern.sha256)
    return chosen


def _command(dataset: str, finding: Finding, becomes: str | None, concerns: Sequence[Concern]) -> str:
    keys = " ".join(f"--key {shlex.quote(concern.key)}" for concern in concerns)
    why = shlex.quote(f"quality report: {finding.title.lower()}")
    if becomes is None:
        return f"petpark data exclude {dataset[:12]} {keys} --why {why}"
    return f"petpark data relabel {dataset[:12]} {keys} --label {shlex.quote(becomes)} --why {why}"
