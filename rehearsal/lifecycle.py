"""The story that `petpark rehearse` tells: from a folder of photos to a certified model in prod, and back.

Every step calls the library functions behind the operator's commands, as the roles that the stacks made; only waiting
and showing are the rehearsal's own. `docs/design/rehearsal.md` says why the steps overlap as they do.
"""

from __future__ import annotations

import importlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from petpark import api_keys, datasets, decisions, endpoints, gates, jobs, quality
from petpark.endpoints import Verdict
from petpark.gates import Judgement
from petpark.jobs import EpochSeen, Finished
from petpark.target import Target
from registry.channel import Move
from registry.layout import Role, photo_key
from rehearsal.application_test import HeldOut, ask
from rehearsal.beside import Beside
from rehearsal.people import CAST
from rehearsal.steps import Steps
from rehearsal.summary import Accuracy, Dataset, Prediction, RehearsalFacts
from rehearsal.timeline import Release
from rehearsal.traffic import Traffic, TrafficReport
from rehearsal.world import STACKS, World
from serving.keys.record import KeyScope
from training.dataset import Ingestion, load_manifest
from training.dataset.generated import generate
from training.evaluation.metrics import evaluate
from training.hyper_parameters import FOR_FEW_PHOTOS

ANSWERS_WITHIN = 60.0
"""Seconds that endpoints get to answer from a version that their channel moved to."""

REAL_PHOTOS = tuple(f"{name}={value}" for name, value in asdict(FOR_FEW_PHOTOS).items())
"""Hyper-parameters for photos that somebody took, from scratch, in some minutes of CPU: `docs/design/training.md`."""

QUALITY = "quality.html"
"""The page on the photos' quality, beside the summary."""

_SEED = 20_26

_CHECKS = ("photos=40", "calls=30")
"""Corrupts fewer photos than a job does otherwise: the rehearsal shows that it is tested, not how good it is."""


class EndpointsSilent(Exception):
    """Endpoints did not answer from the version that their channel names."""


class Abandoned(Exception):
    """Nobody waits any more for what was done beside the story."""


class DoorAstray(Exception):
    """An endpoint that asks for API keys lets in whoever has none, or keeps out who has one."""


class RequestsLost(Exception):
    """Requests failed while a release moved."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """What varies between rehearsals.

    `photos` None draws a set of `photo_count`. `recipe` are hyper-parameters (`key=value`) other than the defaults;
    `second_recipe` goes on top of them for the second training, which starts from the weights of the first and takes
    small steps: a model that got worse than the one in prod, beyond luck, would rightly not pass its gate.
    `most_held_out` bounds the photos of the application test.
    """

    photos: Path | None = None
    photo_count: int = 1000
    recipe: tuple[str, ...] = ("epochs=6", "optimiser=muon")
    second_recipe: tuple[str, ...] = ("epochs=1", "learning_rate=0.0001")
    most_held_out: int = 1000

    @classmethod
    def of_photos(cls, photos: Path) -> Script:
        """For real photos, which take longer to learn from scratch than drawn ones."""
        return cls(photos=photos, recipe=REAL_PHOTOS)


class Lifecycle:
    """One rehearsal in a running `world`; `play` goes through all steps, `facts` tells what happened so far."""

    def __init__(self, world: World, steps: Steps, script: Script) -> None:
        self._world = world
        self._steps = steps
        self._script = script
        self._photos = script.photos or world.directory / "photos"
        self._started = time.monotonic()
        self._over = threading.Event()
        self._keys: dict[str, str] = {}
        """API keys by the endpoint's address, where one is asked for."""
        self._facts = RehearsalFacts(
            started_at=datetime.now(UTC),
            engine=world.kind,
            steps=(),
            people=CAST,
            emulator_url=world.emulator.url,
            region=world.emulator.region,
        )

    @property
    def facts(self) -> RehearsalFacts:
        """What happened so far."""
        return replace(
            self._facts,
            steps=tuple(self._steps.records),
            elapsed=time.monotonic() - self._started,
            endpoints=self._world.endpoints,
            stacks=self._world.stacks,
        )

    def play(self) -> None:
        """All steps in order. Raises what the first failing step raised; nothing is tried twice."""
        try:
            self._play()
        finally:
            self._over.set()

    def _play(self) -> None:
        drawn = Beside(self._prepare)
        test = self._deploy_test()
        drawn.result()
        prod = Beside(self._deploy_prod)
        dataset = self._ingest()
        self._report_quality(dataset)
        first = self._train(dataset, number=1)
        self._release(first, "test", step="release 1 to test")
        self._test_application()
        self._certify(first)
        test.result()
        prod.result()
        self._make_keys()
        self._release(first, "prod", step="release 1 to prod")
        second = self._train(dataset, number=2, first=first)
        self._certify(second)
        self._try_keys()
        self._promote_and_roll_back(first, second)
        self._describe(first)

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """While a deployment waits: photos, and the seconds that importing torch takes, which the report needs."""
        self._draw_photos()
        importlib.import_module("training.dataset.quality.examine")

    def _draw_photos(self) -> None:
        if self._script.photos is None:
            with self._steps.beside("draw a photo set") as step:
                generate(self._photos, count=self._script.photo_count, seed=_SEED, progress=self._still_wanted)
                step.done(f"{self._script.photo_count} photos of generated cats and dogs")

    def _still_wanted(self, _done: int, _of: int) -> None:
        if self._over.is_set():
            raise Abandoned

    def _deploy_test(self) -> Beside[None]:
        """Until the stack can be used; gives its deployment, for the provider waits a minute for what nobody reads."""
        finished = 0
        usable = threading.Event()

        def show(event: Any) -> None:
            nonlocal finished
            finished += event.kind == "finished"
            if not usable.is_set():
                step.progress(f"{finished} resources")

        def deploy() -> None:
            with self._steps.beside("up stack test, to its end") as whole:
                whole.done(f"{self._world.deploy('test', show, usable.set)} resources")

        with self._steps.step("up stack test, until it is usable") as step:
            deployment = Beside(deploy)
            deployment.wait(usable)
            step.done(f"{finished} resources")
        return deployment

    def _deploy_prod(self) -> None:
        with self._steps.beside("up stack prod (meanwhile)") as step:
            # An engine finishes what it has begun before it hears an interruption: a minute, for nobody here.
            step.done(f"{Beside(lambda: self._world.deploy('prod')).result()} resources")

    def _ingest(self) -> Ingestion:
        with self._steps.step("ingest photos") as step:
            target = self._world.target("test")
            found = datasets.ingest(
                target, str(self._photos), seed=_SEED, progress=lambda done, of: step.progress(f"{done} of {of}")
            )
            photos = found.manifest.photos
            self._facts = replace(
                self._facts,
                dataset=Dataset(
                    source=str(self._script.photos or "generated"),
                    sha256=found.sha256,
                    photos=len(photos),
                    labels=dict(Counter(photo.label for photo in photos)),
                    splits=dict(Counter(photo.split for photo in photos)),
                    skipped=[(str(path), str(reason)) for path, reason in found.skipped],
                ),
            )
            skipped = f", {len(found.skipped)} skipped (named in the summary)" if found.skipped else ""
            by = target.identity(role=Role.PUBLISHER)
            step.done(f"{len(photos)} photos, dataset {found.sha256[:12]}{skipped}", by=by)
        return found

    def _report_quality(self, dataset: Ingestion) -> None:
        """Without networks, which would take half a minute: what they find is for a person with a dataset to mend."""
        with self._steps.step("report on the photos' quality") as step:
            target = self._world.target("test")
            made = quality.report(target, dataset.sha256, gates=datasets.data_gates(target), labels=False)
            assert self._facts.dataset is not None  # noqa: S101  ingestion comes first
            quality.write_page(made, self._world.directory / QUALITY)
            self._facts = replace(self._facts, dataset=replace(self._facts.dataset, report=QUALITY))
            judged = sum(result.measured for result in made.report.results)
            step.done(f"passes {judged - len(made.report.failed)} of {judged} gates, {QUALITY}", by=made.report.by)

    def _train(self, dataset: Ingestion, *, number: int, first: int | None = None) -> int:
        """Train on an instance, from scratch or from the weights of version `first`; the new version's number."""
        with self._steps.step(f"train version {number} on an instance") as step:
            target = self._world.target("test")
            recipe = self._script.recipe + (self._script.second_recipe if first else ())
            weights = jobs.weights_of(target, first) if first else None
            spec = jobs.plan(
                target, dataset.sha256, recipe, seed=_SEED + number, initial_weights=weights, checks=_CHECKS
            )
            job = jobs.submit(target, spec)
            instance = jobs.launch(target, job)
            for event in jobs.watch(target, job, instance_id=instance, poll=0.5):
                match event:
                    case EpochSeen(record=record):
                        step.progress(
                            f"epoch {record.epoch} of {spec.hyper_parameters.epochs}, accuracy {record.accuracy:.1%}"
                        )
                    case Finished(result=result) if result.version is not None:
                        judged = gates.judgement(target, result.version)
                        self._facts = replace(self._facts, gates={**self._facts.gates, result.version: judged.verdicts})
                        step.done(f"version {result.version}, {_gates(judged)}, job {job}", by=spec.requested_by)
                        return result.version
                    case _:
                        step.progress(f"instance {instance}")
        raise AssertionError("a watched job either finishes or raises")

    def _release(self, version: int, channel: str, *, step: str) -> None:
        with self._steps.step(step) as running:
            release = self._move(
                channel,
                "promote",
                lambda target: decisions.promote(target, version, channel=channel, why=f"rehearsal: release {version}"),
            )
            self._record(release)
            running.done(f"answering after {release.answered_after:.1f} s", by=release.by)

    def _test_application(self) -> None:
        with self._steps.step("test the application") as step:
            photos = self._held_out
            predictions = ask(
                self._world.endpoints["test"],
                photos,
                explained=24,
                progress=lambda done, of: step.progress(f"{done} of {of} unseen photos"),
            )
            assert self._facts.dataset is not None  # noqa: S101  ingestion comes first
            accuracy, balanced = _accuracies(predictions, sorted(self._facts.dataset.labels))
            self._facts = replace(self._facts, predictions=predictions, accuracy=accuracy, balanced_accuracy=balanced)
            step.done(
                f"{accuracy.value:.1%} right of {accuracy.n} unseen photos "
                f"(95 % interval {accuracy.low:.1%} to {accuracy.high:.1%})"
            )

    def _make_keys(self) -> None:
        """Make a key for each endpoint that asks for one, as its operator would for a camera."""
        for stack in STACKS:
            target = self._world.target(stack)
            if target.outputs.endpoint.api_keys == "open":
                continue
            with self._steps.step(f"make an API key for {stack}") as step:
                made = api_keys.create(
                    target,
                    "rehearsal",
                    rate=1000.0,
                    burst=1000,
                    lifetime=timedelta(days=1),
                    scopes=[KeyScope.CLASSIFY],
                )
                self._keys[self._world.endpoints[stack]] = made.key
                step.done("kept as a hash; shown to nobody", by=target.identity(role=Role.PROMOTER))

    def _try_keys(self) -> None:
        """An endpoint that asks for keys refuses whoever has none, and knows the new one within a reading."""
        photo = self._held_out[0].photo
        for url, key in self._keys.items():
            with self._steps.step("call prod without a key, and with it") as step:
                deadline = time.monotonic() + api_keys.HEARD_WITHIN
                without = _call(url, photo, None)
                while (answered := _call(url, photo, key)) != HTTPStatus.OK and time.monotonic() < deadline:
                    threading.Event().wait(0.5)
                if (without, answered) != (HTTPStatus.UNAUTHORIZED, HTTPStatus.OK):
                    raise DoorAstray(f"{url} answers {without} without a key and {answered} with one.")
                step.done(f"{without} without, {answered} with it")

    def _certify(self, version: int) -> None:
        with self._steps.step(f"certify version {version}") as step:
            certificate = decisions.certify(
                self._world.target("test"), version, decision="certified", note="rehearsal: the application test passed"
            )
            step.done(f"signed, good until {(certificate.expires_at or '')[:10]}", by=certificate.by)

    def _promote_and_roll_back(self, first: int, second: int) -> None:
        photos = [held_out.photo for held_out in self._held_out[:50]]
        with Traffic(list(self._world.endpoints.values()), photos, keys=self._keys) as traffic:
            with self._steps.step(f"promote version {second} under traffic") as step:
                slowest = self._both(
                    "promote",
                    lambda target, channel: decisions.promote(
                        target, second, channel=channel, why=f"rehearsal: release {second}"
                    ),
                )
                step.done(f"every endpoint answers from it after {slowest.answered_after:.1f} s", by=slowest.by)
            with self._steps.step(f"roll back to version {first} under traffic") as step:
                slowest = self._both(
                    "rollback",
                    lambda target, channel: decisions.roll_back(target, channel=channel, why="rehearsal: a drill"),
                )
                step.done(f"every endpoint answers from it after {slowest.answered_after:.1f} s", by=slowest.by)
        report = traffic.report()
        self._facts = replace(self._facts, traffic=report)
        self._judge_traffic(report)

    def _judge_traffic(self, report: TrafficReport) -> None:
        with self._steps.step("count lost requests") as step:
            step.done(f"{len(report.failures)} of {report.requests} requests failed during both moves")
            if report.failures:
                raise RequestsLost(
                    f"{len(report.failures)} of {report.requests} requests failed; the first: {report.failures[0]}"
                )

    def _describe(self, version: int) -> None:
        target = self._world.target("prod")
        answer = endpoints.status(target)[0]
        self._facts = replace(
            self._facts,
            bucket=target.outputs.model_store,
            model=target.outputs.model,
            version=version,
            digest=answer.digest,
            resources={stack: self._world.resources(stack) for stack in STACKS},
        )

    # --- moving channels ----------------------------------------------------------------------------------------------

    def _both(self, what: str, move: Callable[[Target, str], Move]) -> Release:
        """Move both channels at once; the one whose endpoints took longer to answer."""
        with ThreadPoolExecutor(len(STACKS)) as pool:
            moved = [
                pool.submit(self._move, channel, what, lambda target, channel=channel: move(target, channel))
                for channel in STACKS
            ]
            releases = [future.result() for future in moved]
        self._record(*releases)
        return max(releases, key=lambda release: release.answered_after or 0.0)

    def _move(self, channel: str, what: str, move: Callable[[Target], Move]) -> Release:
        """Move one channel, and wait until everything that follows it answers from the version it names."""
        asked = time.monotonic()
        moved = move(self._world.target(channel))
        decided = time.monotonic()
        self._await_version(channel, moved.version)
        return Release(
            at=asked - self._started,
            channel=channel,
            version=moved.version,
            what=what,
            answered_after=time.monotonic() - decided,
            why=moved.why,
            by=moved.by,
        )

    def _record(self, *releases: Release) -> None:
        self._facts = replace(self._facts, releases=[*self._facts.releases, *releases])

    def _await_version(self, stack: str, version: int) -> None:
        deadline = time.monotonic() + ANSWERS_WITHIN
        pause = threading.Event()
        while True:
            answers = endpoints.status(self._world.target(stack))
            if all(answer.verdict is Verdict.SERVES and answer.version == version for answer in answers):
                return
            if time.monotonic() > deadline:
                wrong = "; ".join(
                    f"{answer.where} {answer.url}: {answer.verdict} version {answer.version} {answer.reason}"
                    for answer in answers
                    if answer.verdict is not Verdict.SERVES
                )
                raise EndpointsSilent(
                    f"Not every endpoint of stack {stack} answered from version {version} in {ANSWERS_WITHIN:.0f} s: "
                    f"{wrong}. The instances' logs are in {self._world.directory / 'instances'}."
                )
            pause.wait(0.1)

    @cached_property
    def _held_out(self) -> Sequence[HeldOut]:
        """The photos of the test split, evenly thinned to the script's bound."""
        assert self._facts.dataset is not None  # noqa: S101  ingestion comes first
        target = self._world.target("test")
        lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)
        photos = [photo for photo in load_manifest(lake, self._facts.dataset.sha256).photos if photo.split == "test"]
        photos = photos[:: math.ceil(len(photos) / self._script.most_held_out)]
        with ThreadPoolExecutor(8) as pool:
            bodies = pool.map(lambda photo: lake.get(photo_key(photo.sha256)), photos)
            return [
                HeldOut(key=photo.key, label=photo.label, photo=body)
                for photo, body in zip(photos, bodies, strict=True)
            ]


def _call(url: str, photo: bytes, key: str | None) -> int:
    headers = {"content-type": "image/jpeg"} | ({} if key is None else {"authorization": f"Bearer {key}"})
    with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
        return client.post("/v1/classify", content=photo, headers=headers).status_code


def _gates(judged: Judgement) -> str:
    """What the gates said, for a step's line; whether the version may go to prod is for the channel's rule to say."""
    if judged.failed:
        return f"failed gates: {', '.join(verdict.name for verdict in judged.failed)}"
    return f"{len(judged.verdicts)} gates passed"


def _accuracies(predictions: Sequence[Prediction], labels: Sequence[str]) -> tuple[Accuracy, Accuracy]:
    """Plain accuracy, and balanced accuracy, in which classes count alike however many photos they have."""
    truth = np.array([labels.index(prediction.truth) for prediction in predictions])
    answers = np.array([labels.index(prediction.label) for prediction in predictions])
    found = evaluate(truth, answers, labels)
    (low, high), (balanced_low, balanced_high) = found.accuracy_interval, found.balanced_accuracy_interval
    return (
        Accuracy(value=found.accuracy, low=low, high=high, n=found.photos),
        Accuracy(value=found.balanced_accuracy, low=balanced_low, high=balanced_high, n=found.photos),
    )
