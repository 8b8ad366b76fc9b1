"""The steps of `petpark rehearse`: from a folder of photos to a certified model in prod, and back.

Every step calls the library functions behind the operator's commands, as the roles that the stacks made; only waiting
and showing are the rehearsal's own. `docs/design/rehearsal.md` says why the steps overlap as they do.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx

from petpark.data import datasets, quality_reports
from petpark.endpoints import api_keys, endpoint_status
from petpark.jobs import submission
from petpark.jobs.submission import EpochSeen, Finished, ProgressSeen
from petpark.models import decisions, gates, model_versions
from petpark.models.gates import Judgement
from registry.gates import open_gates
from registry.layout import Role
from rehearsal.background_task import BackgroundTask
from rehearsal.demo_users import CAST
from rehearsal.environment import STACKS, Environment
from rehearsal.report.steps import Steps
from rehearsal.report.summary import Dataset, Prediction, RehearsalFacts
from rehearsal.scenario import growing_dataset
from rehearsal.scenario.application_test import HeldOut, accuracies, ask, held_out
from rehearsal.scenario.camera_scenario import CameraScenario
from rehearsal.scenario.releases import Releases
from rehearsal.scenario.scenario_options import ScenarioOptions
from rehearsal.scenario.traffic import Traffic, TrafficReport
from serving.auth.key_record import KeyScope
from training.dataset import Ingestion
from training.dataset.generated import generate
from training.networks.pretrained import PACKAGED

QUALITY = "quality.html"
"""The page on the photos' quality, next to the summary."""

SEED = 20_26
"""Of the drawn photos, of the dataset's split, and (with a training's number added) of the trainings."""

_CHECKS = ("photos=40", "calls=30")
"""Corrupts fewer photos than a job does otherwise: the rehearsal shows that it is tested, not how good it is."""


class BackgroundTaskAbandoned(Exception):
    """The results of background work are not needed any more."""


class ApiKeysNotEnforced(Exception):
    """An endpoint that requires API keys admits callers without one, or refuses callers with one."""


class RequestsLost(Exception):
    """Requests failed while a release moved."""


class Lifecycle:
    """One rehearsal in a running `environment`; `play` runs all steps, `facts` returns what happened so far."""

    def __init__(self, environment: Environment, steps: Steps, script: ScenarioOptions) -> None:
        self._environment = environment
        self._steps = steps
        self._script = script
        self._photos = script.photos or environment.directory / "photos"
        self._started = time.monotonic()
        self._releases = Releases(environment, started=self._started)
        self._over = threading.Event()
        self._held_out: Sequence[HeldOut] = ()
        """Photos that no training saw, with which the first version was tested."""
        self._keys: dict[str, str] = {}
        """API keys by the endpoint's address, where one is requested."""
        self._facts = RehearsalFacts(
            started_at=datetime.now(UTC),
            engine=environment.kind,
            steps=(),
            people=CAST,
            emulator_url=environment.emulator.url,
            region=environment.emulator.region,
        )

    @property
    def facts(self) -> RehearsalFacts:
        """What happened so far."""
        return replace(
            self._facts,
            steps=tuple(self._steps.records),
            elapsed=time.monotonic() - self._started,
            releases=tuple(self._releases.results),
            endpoints=self._environment.endpoints,
            stacks=self._environment.stacks,
            recipe=self._script.base,
        )

    def play(self) -> None:
        """All steps in order. Raises what the first failing step raised; nothing is tried twice."""
        try:
            self._play()
        finally:
            self._over.set()

    def _play(self) -> None:
        drawn = BackgroundTask(self._prepare)
        test = self._deploy_test()
        drawn.result()
        prod = BackgroundTask(self._deploy_prod)
        dataset = self._ingest()
        self._report_quality(dataset)
        first = self._train(dataset, number=1)
        self._release(first, "test", step="release 1 to test")
        self._test_application(first)
        self._certify(first)
        test.result()
        prod.result()
        self._make_keys()
        self._release(first, "prod", step="release 1 to prod")
        camera = BackgroundTask(self._put_camera)
        if self._script.grows:
            dataset = self._ingest(since=dataset)
            self._report_quality(dataset)
        second = self._train(dataset, number=2, first=first)
        with camera.result() as gate:
            self._certify(second)
            self._try_keys()
            self._promote_and_roll_back(first, second)
            self._read_visits(gate)
        if self._script.grows:  # the drill is over, and more photos made a better model
            self._release(second, "test", step="release 2 to test")
            self._test_application(second)
            self._release(second, "prod", step="release 2 to prod")
        self._describe(second if self._script.grows else first)

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """While a deployment waits: photos, and the seconds that importing torch takes, which the report needs."""
        self._draw_photos()
        importlib.import_module("training.quality.examine")

    def _draw_photos(self) -> None:
        if self._script.photos is None:
            with self._steps.background("draw a photo set") as step:
                generate(self._photos, count=self._script.photo_count, seed=SEED, progress=self._still_wanted)
                step.done(f"{self._script.photo_count} photos of generated cats and dogs")

    def _still_wanted(self, _done: int, _of: int) -> None:
        if self._over.is_set():
            raise BackgroundTaskAbandoned

    def _deploy_test(self) -> BackgroundTask[None]:
        """Until the stack can be used; returns its deployment, which goes on: the provider waits another minute."""
        finished = 0
        usable = threading.Event()

        def show(event: Any) -> None:
            nonlocal finished
            finished += event.kind == "finished"
            if not usable.is_set():
                step.progress(f"{finished} resources")

        def deploy() -> None:
            with self._steps.background("up stack test, to its end") as whole:
                whole.done(f"{self._environment.deploy('test', show, usable.set)} resources")

        with self._steps.step("up stack test, until it is usable") as step:
            deployment = BackgroundTask(deploy)
            deployment.wait(usable)
            step.done(f"{finished} resources")
        return deployment

    def _deploy_prod(self) -> None:
        with self._steps.background("up stack prod (in parallel)") as step:
            # An engine finishes running steps before it handles an interruption: a minute that is not needed here.
            step.done(f"{BackgroundTask(lambda: self._environment.deploy('prod')).result()} resources")

    def _ingest(self, since: Ingestion | None = None) -> Ingestion:
        """Ingest what photos there are at first, or all of them, going on from the dataset `since`."""
        with self._steps.step("ingest photos" if since is None else "ingest the photos that came since") as step:
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
            kept = "half of the photos, to begin with: " if early else ""
            step.done(f"{kept}{len(photos)} photos, dataset {found.sha256[:12]}{skipped}", by=by)
        return found

    def _report_quality(self, dataset: Ingestion) -> None:
        """Without networks, which would take half a minute: what they find is for a person who improves a dataset."""
        with self._steps.step("report on the photos' quality") as step:
            target = self._environment.target("test")
            made = quality_reports.report(target, dataset.sha256, gates=datasets.data_gates(target), labels=False)
            assert self._facts.dataset is not None  # noqa: S101  ingestion comes first
            quality_reports.write_page(made, self._environment.directory / QUALITY)
            self._facts = replace(self._facts, dataset=replace(self._facts.dataset, report=QUALITY))
            judged = sum(result.measured for result in made.report.results)
            step.done(f"passes {judged - len(made.report.failed)} of {judged} gates, {QUALITY}", by=made.report.by)

    def _train(self, dataset: Ingestion, *, number: int, first: int | None = None) -> int:
        """Train on an instance, continuing from version `first`; returns the new version's number."""
        with self._steps.step(f"train version {number} on an instance") as step:
            target, script = self._environment.target("test"), self._script
            spec = submission.plan(
                target,
                dataset.sha256,
                script.recipe + (script.second_recipe if first else ()),
                recipe=script.base,
                seed=SEED + number,
                initial_weights=self._weights(number, first),
                checks=_CHECKS,
            )
            submission.admit(target, spec)
            job = submission.submit(target, spec)
            instance = submission.launch(target, job)
            quarters: set[tuple[str, int]] = set()  # of each stage: so many lines does a training get in a log
            for event in submission.watch(target, job, instance_id=instance, poll=0.5):
                match event:
                    case EpochSeen(record=record):
                        (step.stage if _at_a_quarter(record.epoch, record.of) else step.progress)(
                            submission.sentence(record)
                        )
                    case ProgressSeen(record=record):
                        quarter = record.doing, 4 * record.done // record.of
                        (step.progress if quarter in quarters else step.stage)(submission.sentence(record))
                        quarters.add(quarter)
                    case Finished(result=result) if result.version is not None:
                        judged = gates.judgement(target, result.version)
                        self._facts = replace(self._facts, gates={**self._facts.gates, result.version: judged.verdicts})
                        lineage = model_versions.version(target, result.version).lineage
                        step.done(f"{trained(result.version, judged, lineage)}, job {job}", by=spec.requested_by)
                        return result.version
                    case _:
                        step.stage(f"instance {instance}")
        raise AssertionError("a watched job either finishes or raises")

    def _weights(self, number: int, first: int | None) -> str | None:
        """Where the training starts: a frozen network always from ImageNet's weights, another from version `first`."""
        parameters = self._script.parameters(number)
        if parameters.frozen:
            return PACKAGED[parameters.architecture].sha256
        return submission.weights_of(model_versions.version(self._environment.target("test"), first)) if first else None

    def _release(self, version: int, channel: str, *, step: str) -> None:
        with self._steps.step(step) as running:
            release = self._releases.move(
                channel,
                "promote",
                lambda target: decisions.promote(target, version, channel=channel, why=f"rehearsal: release {version}"),
            )
            running.done(f"answering after {release.answered_after:.1f} s", by=release.by)

    def _test_application(self, version: int) -> None:
        with self._steps.step(f"test the application, version {version}") as step:
            assert self._facts.dataset is not None  # noqa: S101  ingestion comes first
            target = self._environment.target("test")
            photos = held_out(target, self._facts.dataset.sha256, most=self._script.most_held_out)
            self._held_out = self._held_out or photos
            predictions = ask(
                self._environment.endpoints["test"],
                photos,
                explained=24,
                progress=lambda done, of: step.progress(f"{done} of {of} unseen photos"),
            )
            accuracy, balanced = accuracies(predictions, sorted(self._facts.dataset.labels))
            self._facts = replace(self._facts, predictions=predictions, accuracy=accuracy, balanced_accuracy=balanced)
            step.done(
                f"{accuracy.value:.1%} right of {accuracy.n} unseen photos "
                f"(95 % interval {accuracy.low:.1%} to {accuracy.high:.1%})"
            )

    def _make_keys(self) -> None:
        """Make a key for each endpoint that requires one, as its operator would for a camera."""
        for stack in STACKS:
            target = self._environment.target(stack)
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
                self._keys[self._environment.endpoints[stack]] = made.key
                step.done("stored as a hash; not shown", by=target.identity(role=Role.PROMOTER))

    def _try_keys(self) -> None:
        """An endpoint that requires keys refuses callers without one, and knows the new one within a poll."""
        for url, key in self._keys.items():
            with self._steps.step("call prod without a key, and with it") as step:
                without = _call(url, self._held_out[0].photo, None)
                answered = self._await_key(url, key)
                if (without, answered) != (HTTPStatus.UNAUTHORIZED, HTTPStatus.OK):
                    raise ApiKeysNotEnforced(f"{url} answers {without} without a key and {answered} with one.")
                step.done(f"{without} without, {answered} with it")

    def _await_key(self, url: str, key: str | None) -> int:
        """Call with a key until the endpoint has read it, or should have; its last answer."""
        deadline = time.monotonic() + api_keys.HEARD_WITHIN
        while (answered := _call(url, self._held_out[0].photo, key)) != HTTPStatus.OK and time.monotonic() < deadline:
            threading.Event().wait(0.5)
        return answered

    def _certify(self, version: int) -> None:
        with self._steps.step(f"certify version {version}") as step:
            target = self._environment.target("test")
            certificate = decisions.certify(
                target,
                version,
                decision="certified",
                note="rehearsal: the application test passed",
                # What stands against it is on the certificate; whether it may go to prod is for the channel to say.
                despite=tuple(open_gates(model_versions.version(target, version).metrics)),
            )
            step.done(f"signed, good until {(certificate.expires_at or '')[:10]}", by=certificate.by)

    def _put_camera(self) -> CameraScenario:
        """A camera in the park, and its agent on an instance of prod, while versions come and go there."""
        with self._steps.background("put a camera at the gate") as step:
            url = self._environment.endpoints["prod"]
            key = self._keys.get(url)
            self._await_key(url, key)
            gate = CameraScenario(self._environment, "prod", self._passers_by(), api_key=key).start()
            step.done(f"an agent on {gate.instance} uses the endpoint there")
        return gate

    def _passers_by(self) -> list[bytes]:
        """A held-out photo of each class, that about which the model was surest, and right."""
        surest: dict[str, Prediction] = {}
        for prediction in sorted(self._facts.predictions, key=lambda prediction: prediction.probability):
            if prediction.right:
                surest[prediction.truth] = prediction
        return [prediction.photo for prediction in surest.values()] or [self._held_out[0].photo]

    def _read_visits(self, gate: CameraScenario) -> None:
        """Who came by, as the data lake has it once the agent has ended."""
        with self._steps.step("read what the camera saw") as step:
            frames = gate.close()
            visits = gate.visits()
            self._facts = replace(self._facts, visits=visits)
            seen = Counter(visit.label for visit in visits)
            names = ", ".join(f"{count} × {label}" for label, count in sorted(seen.items())) or "none for sure"
            step.done(
                f"visits: {names}; {frames['classified']} frames answered, {frames['unanswered']} not",
                by=self._environment.target("prod").identity(role=Role.PUBLISHER),
            )

    def _promote_and_roll_back(self, first: int, second: int) -> None:
        photos = [held_out.photo for held_out in self._held_out[:50]]
        with Traffic(list(self._environment.endpoints.values()), photos, keys=self._keys) as traffic:
            with self._steps.step(f"promote version {second} under traffic") as step:
                slowest = self._releases.move_both(
                    "promote",
                    lambda target, channel: decisions.promote(
                        target, second, channel=channel, why=f"rehearsal: release {second}"
                    ),
                )
                step.done(f"every endpoint answers from it after {slowest.answered_after:.1f} s", by=slowest.by)
            with self._steps.step(f"roll back to version {first} under traffic") as step:
                slowest = self._releases.move_both(
                    "rollback",
                    lambda target, channel: decisions.roll_back(target, channel=channel, why="rehearsal: a drill").move,
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
        target = self._environment.target("prod")
        answer = endpoint_status.status(target)[0]
        self._facts = replace(
            self._facts,
            bucket=target.outputs.model_store,
            model=target.outputs.model,
            version=version,
            digest=answer.digest,
            resources={stack: self._environment.resources(stack) for stack in STACKS},
        )


def _call(url: str, photo: bytes, key: str | None) -> int:
    headers = {"content-type": "image/jpeg"} | ({} if key is None else {"authorization": f"Bearer {key}"})
    with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
        return client.post("/v1/classify", content=photo, headers=headers).status_code


def _at_a_quarter(epoch: int, of: int) -> bool:
    """Whether a quarter of the epochs ends with this one: so many lines does a training get in a log."""
    return 4 * epoch // of > 4 * (epoch - 1) // of


def trained(version: int, judged: Judgement, lineage: Mapping[str, Any]) -> str:
    """The result of a training, and why it differs from the request if pretrained weights were not available."""
    summary = f"version {version}, {_gates(judged)}"
    return f"{summary}, {lineage['instead']}" if "instead" in lineage else summary


def _gates(judged: Judgement) -> str:
    """The gates' results, for a step's line; the channel's rule decides whether the version may go to prod."""
    against = {"failed gates": judged.failed, "gates not measured": judged.unmeasured}
    if summary := [f"{what}: {', '.join(each.name for each in those)}" for what, those in against.items() if those]:
        return "; ".join(summary)
    return f"{len(judged.verdicts)} gates passed"
