"""The steps of `petpark rehearse`: from a folder of photos to a certified model in prod, and back.

The pipeline of the stack `test` does what it does on AWS: a new manifest starts it, and it waits for a person once.
What people do calls the library functions behind their commands, as the roles that the stacks made; only
waiting and showing are the rehearsal's own. `docs/design/rehearsal.md` says why the steps overlap as they do.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

from petpark.endpoints import endpoint_status
from rehearsal.background_task import BackgroundTask
from rehearsal.demo_users import DEMO_USERS
from rehearsal.environment import STACKS, Environment
from rehearsal.report.steps import Steps
from rehearsal.report.summary import RehearsalFacts
from rehearsal.scenario.camera.camera_scenario import CameraScenario
from rehearsal.scenario.camera.camera_steps import CameraSteps
from rehearsal.scenario.certifier import Certifier
from rehearsal.scenario.deployments import Deployments
from rehearsal.scenario.endpoint_keys import EndpointKeys
from rehearsal.scenario.facts_so_far import FactsSoFar
from rehearsal.scenario.moves.moves_under_traffic import MovesUnderTraffic
from rehearsal.scenario.moves.releases import Releases
from rehearsal.scenario.photos_to_prod import PhotosToProd
from rehearsal.scenario.scenario_options import ScenarioOptions
from rehearsal.scenario.second_training import SecondTraining
from training.dataset import Ingestion

_TRAFFIC_PHOTOS = 50


class Lifecycle:
    """One rehearsal in a running `environment`; `play` runs all steps, `facts` returns what happened so far."""

    def __init__(self, environment: Environment, steps: Steps, script: ScenarioOptions) -> None:
        self._environment = environment
        self._steps = steps
        self._script = script
        self._photos = script.photos or environment.directory / "photos"
        self._started = time.monotonic()
        self._over = threading.Event()
        self._facts = facts = FactsSoFar(
            RehearsalFacts(
                started_at=datetime.now(UTC),
                engine=environment.kind,
                steps=(),
                people=DEMO_USERS,
                emulator_url=environment.emulator.url,
                region=environment.emulator.region,
            )
        )
        self._releases = Releases(environment, started=self._started)
        self._certifier = Certifier(environment, steps, facts, most_held_out=script.most_held_out)
        self._pipeline = PhotosToProd(
            environment,
            steps,
            facts,
            script,
            photos=self._photos,
            releases=self._releases,
            certifier=self._certifier,
        )
        self._keys = EndpointKeys(environment, steps, photo=lambda: self._certifier.held_out[0].photo)
        self._camera = CameraSteps(environment, steps, facts, self._keys)

    @property
    def facts(self) -> RehearsalFacts:
        """What happened so far."""
        return replace(
            self._facts.now,
            steps=tuple(self._steps.records),
            elapsed=time.monotonic() - self._started,
            releases=tuple(self._releases.results),
            stages=tuple(stage for watch in self._pipeline.watches for stage in watch.stages),
            endpoints=self._environment.endpoints,
            stacks=self._environment.stacks,
            recipe=self._script.base,
        )

    def play(self) -> None:
        """Run all steps in order. Raises what the first failing step raised; nothing is retried."""
        try:
            self._play()
        finally:
            self._over.set()

    def _play(self) -> None:
        deployments = Deployments(self._environment, self._steps, over=self._over)
        drawn = BackgroundTask(lambda: self._draw_photos(deployments))
        prod = BackgroundTask(deployments.deploy_prod)
        test = deployments.deploy_test()
        drawn.result()
        first, second, camera = self._two_versions(self._pipeline.ingest(), prod)
        test.result()
        with camera.result() as gate:
            self._keys.attempt()
            MovesUnderTraffic(
                self._environment,
                self._steps,
                self._facts,
                self._releases,
                photos=[held_out.photo for held_out in self._certifier.held_out[:_TRAFFIC_PHOTOS]],
                keys=self._keys.of,
            ).promote_and_roll_back(first, second, back_first=self._script.grows)
            self._camera.read_visits(gate)
        self._look_for_instances()
        self._describe(second if self._script.grows else first)

    def _draw_photos(self, deployments: Deployments) -> None:
        if self._script.photos is None:
            deployments.draw_photos(self._photos, self._script.photo_count)

    def _two_versions(
        self, dataset: Ingestion, prod: BackgroundTask[None]
    ) -> tuple[int, int, BackgroundTask[CameraScenario]]:
        """Bring version 1 to prod and certify version 2. Returns their numbers, and the camera started meanwhile."""
        if self._script.grows:
            first = self._pipeline.run_to_certificate(dataset)
            camera = self._release_and_watch(prod)
            second = self._pipeline.run_to_certificate(self._pipeline.ingest(since=dataset))
            camera.result()
            self._pipeline.run_to_prod()
            return first, second, camera
        training = SecondTraining(self._environment, self._steps, self._facts, self._script)
        begun: list[BackgroundTask[int]] = []
        first = self._pipeline.run_to_certificate(
            dataset,
            when_trained=lambda version: begun.append(BackgroundTask(lambda: training.run(dataset.sha256, version))),
        )
        camera = self._release_and_watch(prod)
        second = begun[0].result()
        self._certifier.certify(second)
        return first, second, camera

    def _release_and_watch(self, prod: BackgroundTask[None]) -> BackgroundTask[CameraScenario]:
        """Follow the pipeline's release to prod, and start a camera there once the endpoint answers."""
        release = BackgroundTask(self._pipeline.run_to_prod)

        def put() -> CameraScenario:
            prod.result()
            self._keys.make()
            release.result()
            return self._camera.put(self._certifier.held_out)

        return BackgroundTask(put)

    def _look_for_instances(self) -> None:
        """Check that only the endpoints' instances are left. Raises `StateNotReached`."""
        with self._steps.step("check that no instance is left running") as step:
            serving = {
                instance
                for stack in STACKS
                for instance, _ in endpoint_status.instances(self._environment.target(stack))
            }
            ran = self._environment.runner.states().keys() - serving
            for instance in ran:
                self._environment.runner.wait_for(instance, "terminated", timeout=60)
            step.done(f"all {len(ran)} that ran jobs are terminated; {len(serving)} serve")

    def _describe(self, version: int) -> None:
        target = self._environment.target("prod")
        answer = endpoint_status.status(target)[0]
        self._facts.note(
            bucket=target.outputs.model_store,
            model=target.outputs.model,
            version=version,
            digest=answer.digest,
            resources={stack: self._environment.resources(stack) for stack in STACKS},
        )
