"""The camera at the park's gate: a stream, an agent on an endpoint's instance, and what of it reached the data lake."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from petpark.endpoints import cameras, endpoint_status
from registry.layout.roles import Role
from rehearsal.environment import Environment
from rehearsal.report.summary import Visit
from rehearsal.scenario.camera.agent import CameraAgent
from rehearsal.scenario.camera.park_camera import ParkCamera

CAMERA = "gate"


class CameraScenario:
    """Shows `animals` (bytes of photos) to an agent on an instance of `stack`, from `start` to the end of the block."""

    def __init__(self, environment: Environment, stack: str, animals: Sequence[bytes], *, api_key: str | None) -> None:
        self._target = environment.target(stack)
        self._runner = environment.runner
        self._api_key = api_key
        self._camera = ParkCamera(animals)
        self.instance, self._endpoint = endpoint_status.instances(self._target)[0]
        self._since = datetime.now(UTC).date()
        self._exit = contextlib.ExitStack()

    def start(self) -> Self:
        """Switch on the camera, and start the agent."""
        with contextlib.ExitStack() as starting:
            camera = starting.enter_context(self._camera)
            settings = {
                "endpoint": self._endpoint,
                "data_lake": self._target.outputs.data_lake,
                # A training wants the same cores: what is shown is that each frame is answered, not how fast.
                "answer_seconds": 30,
                "cameras": [{"name": CAMERA, "url": camera.url, "per_second": 2, "leave_seconds": 2}],
            }
            self._agent = CameraAgent(self._runner, self.instance, settings, api_key=self._api_key)
            starting.enter_context(self._agent)
            self._exit = starting.pop_all()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)

    def close(self) -> Mapping[str, int]:
        """End the agent once it has seen a visitor; returns the counts of its frames. Raises `CameraSilent`."""
        frames: Mapping[str, int] = self._agent.await_visit()["cameras"][0]["frames"]
        self._agent.end()
        return frames

    def visits(self) -> list[Visit]:
        """What the data lake has of all visits, the oldest first; an event's end has more than its beginning."""
        days = sorted({self._since, datetime.now(UTC).date()}, reverse=True)
        events = [event for day in days for event in cameras.in_lake(self._target, camera=CAMERA, day=day)[0]]
        last = {event["visit"]: event for event in reversed(events)}
        return [self._visit(event) for event in sorted(last.values(), key=lambda event: event["sequence"])]

    def _visit(self, event: Mapping[str, Any]) -> Visit:
        lake = self._target.store(self._target.outputs.data_lake, role=Role.PUBLISHER)
        return Visit(
            label=event["label"],
            at=event["at"],
            seconds=event["seconds"],
            score=event["score"],
            why=event["why"] or "",
            version=event["model"]["version"],
            picture=lake.get(event["picture"]) if event["picture"] else None,
        )
