"""From photos to a version in prod: a person ingests, the pipeline does the rest and waits once for the certifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from petpark.data import datasets
from petpark.models import gates, model_versions
from petpark.pipeline.runs import WAITING
from registry.layout.roles import Role
from rehearsal.environment import Environment
from rehearsal.report.stages import StageRecord
from rehearsal.report.steps import Steps
from rehearsal.report.summary import Dataset
from rehearsal.scenario import growing_dataset, pipeline_watch
from rehearsal.scenario.certifier import Certifier
from rehearsal.scenario.facts_so_far import FactsSoFar
from rehearsal.scenario.moves.releases import Releases
from rehearsal.scenario.pipeline_watch import PipelineWatch
from rehearsal.scenario.scenario_options import SEED, ScenarioOptions
from rehearsal.scenario.second_training import trained
from training.dataset import Ingestion

QUALITY = "quality.html"
"""The page on the photos' quality, next to the summary."""

_AFTER_TRAINING = "MoveTest"


class PhotosToProd:
    """Ingests photos and follows the pipelines that this starts. `watches` has one entry per pipeline."""

    def __init__(
        self,
        environment: Environment,
        steps: Steps,
        facts: FactsSoFar,
        script: ScenarioOptions,
        *,
        photos: Path,
        releases: Releases,
        certifier: Certifier,
    ) -> None:
        self.watches: list[PipelineWatch] = []
        self._environment = environment
        self._steps = steps
        self._facts = facts
        self._script = script
        self._photos = photos
        self._releases = releases
        self._certifier = certifier

    def ingest(self, since: Ingestion | None = None) -> Ingestion:
        """Ingest the first photos, or, with the earlier dataset `since` as base, all of them."""
        with self._steps.step("ingest photos" if since is None else "ingest the added photos") as step:
            target = self._environment.target("test")
            early = self._script.grows and since is None
            found = datasets.ingest(
                target,
                str(
                    growing_dataset.early(self._photos, self._environment.directory / "photos-at-first")
                    if early
                    else self._photos
                ),
                seed=SEED,
                base=since and since.sha256,
                progress=lambda done, of: step.progress(f"{done} of {of}"),
            )
            self._facts.note(dataset=_described(found, str(self._script.photos or "generated")))
            skipped = f", {len(found.skipped)} skipped (named in the summary)" if found.skipped else ""
            kept = "the first half of the photos: " if early else ""
            step.done(
                f"{kept}{len(found.manifest.photos)} photos, dataset {found.sha256[:12]}{skipped}",
                by=target.identity(role=Role.PUBLISHER),
            )
        return found

    def run_to_certificate(self, dataset: Ingestion, *, when_trained: Callable[[int], None] = lambda _: None) -> int:
        """Follow the pipeline that the manifest started until its version is certified. Returns the version's number.

        `when_trained` is called with that number as soon as there is one, before the version is released to test.
        """
        target = self._environment.target("test")
        with self._steps.step("pipeline: start from the new manifest") as step:
            name = pipeline_watch.begun(target, dataset.sha256)
            step.done(name)
        since = self._facts.now.started_at
        watch = PipelineWatch(target, name, self._steps, started_at=since, describe=self._describe_stage)
        self.watches.append(watch)
        watch.follow(until=_AFTER_TRAINING)
        when_trained(watch.version)
        watch.follow(until=WAITING)
        self._releases.read("test", since=since)
        version = watch.await_question()
        self._certifier.look_at_answers(version)
        watch.certified_by = self._certifier.certify(version, pipeline=name)
        return version

    def run_to_prod(self) -> None:
        """Follow the newest pipeline from the certificate to its end."""
        self.watches[-1].follow()
        self._releases.read("prod", since=self._facts.now.started_at)

    def _describe_stage(self, stage: StageRecord) -> str:
        """Returns a stage's outcome for its line; for a training, the gates' results, which the summary has too.

        The report on the dataset is kept even if the pipeline then ends because of its findings.
        """
        if stage.state == "CheckDataset":
            (self._environment.directory / QUALITY).write_bytes(self.watches[-1].report(stage.state))
        if stage.state != "Train" or stage.version is None:
            return stage.outcome
        target = self._environment.target("test")
        judged = gates.judgement(target, stage.version)
        self._facts.judged(judged)
        return trained(stage.version, judged, model_versions.version(target, stage.version).lineage)


def _described(found: Ingestion, source: str) -> Dataset:
    photos = found.manifest.photos
    return Dataset(
        source=source,
        sha256=found.sha256,
        photos=len(photos),
        labels=dict(Counter(photo.label for photo in photos)),
        splits=dict(Counter(photo.split for photo in photos)),
        skipped=[(str(path), str(reason)) for path, reason in found.skipped],
        report=QUALITY,
    )
