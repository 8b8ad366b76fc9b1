"""The camera's part of a rehearsal: it runs while versions change, and its visits are read at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from registry.layout.roles import Role
from rehearsal.environment import Environment
from rehearsal.report.steps import Steps
from rehearsal.report.summary import Prediction
from rehearsal.scenario.application_test import HeldOut
from rehearsal.scenario.camera.camera_scenario import CameraScenario
from rehearsal.scenario.endpoint_keys import EndpointKeys
from rehearsal.scenario.facts_so_far import FactsSoFar


class CameraSteps:
    """A camera whose agent runs on an instance of prod."""

    def __init__(self, environment: Environment, steps: Steps, facts: FactsSoFar, keys: EndpointKeys) -> None:
        self._environment = environment
        self._steps = steps
        self._facts = facts
        self._keys = keys

    def put(self, held_out: Sequence[HeldOut]) -> CameraScenario:
        """Start a camera that shows animals of `held_out`, and its agent."""
        with self._steps.step("start a camera at prod") as step:
            url = self._environment.endpoints["prod"]
            key = self._keys.of.get(url)
            self._keys.wait_until_known(url, key)
            animals = passers_by(self._facts.now.predictions) or [held_out[0].photo]
            gate = CameraScenario(self._environment, "prod", animals, api_key=key).start()
            step.done(f"its agent runs on {gate.instance} and uses the endpoint there")
        return gate

    def read_visits(self, gate: CameraScenario) -> None:
        """Read the visits from the data lake after the agent has ended. Raises `CameraSilent`."""
        with self._steps.step("read the camera's visits") as step:
            frames = gate.close()
            visits = gate.visits()
            self._facts.note(visits=visits)
            seen = Counter(visit.label for visit in visits)
            names = ", ".join(f"{count} × {label}" for label, count in sorted(seen.items())) or "none recognised"
            step.done(
                f"visits: {names}; {frames['classified']} frames answered, {frames['unanswered']} not",
                by=self._environment.target("prod").identity(role=Role.PUBLISHER),
            )


def passers_by(predictions: Sequence[Prediction]) -> list[bytes]:
    """A photo of each class: the one that the model classified correctly with the highest probability."""
    surest: dict[str, Prediction] = {}
    for prediction in sorted(predictions, key=lambda prediction: prediction.probability):
        if prediction.right:
            surest[prediction.truth] = prediction
    return [prediction.photo for prediction in surest.values()]
