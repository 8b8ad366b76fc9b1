"""An agent whose cameras show frames that the test makes, and whose endpoint the test answers for."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import httpx
import numpy as np

from camera.agent import Agent
from camera.capture.camera import Camera
from camera.capture.source import Frame, SourceLost
from camera.settings import CameraSettings, VisitRules
from camera.status import create_status_app
from camera.telemetry import AgentMetrics
from camera.visits.recorder import Recorder, Unblurred
from tests.camera.conftest import DOG, Hands, line_to, wait_until


def dog(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=DOG)


class Stage:
    """One camera whose frames, clock and endpoint the test plays."""

    def __init__(self, home: Path, hands: Hands, answer: Callable[[httpx.Request], httpx.Response] = dog) -> None:
        self.hands = hands
        self.metrics = AgentMetrics()
        self.recorded: list[Unblurred] = []
        self.frames: list[Frame | Exception | None] = []
        stage = self

        class Notes(Recorder):
            def __init__(self) -> None:
                self.events = stage.recorded

            def record(self, unblurred: Unblurred) -> None:
                self.events.append(unblurred)

        def play(_url, _stop):
            for frame in stage.frames:
                if isinstance(frame, Exception):
                    raise frame
                yield frame
                if frame is not None:
                    stage.hands.pass_seconds(0.2)
                while stage.camera._mailbox._held is not None and stage.patient:
                    time.sleep(0.001)

        self.patient = True
        self.camera = Camera(
            CameraSettings(name="gate", url="rtsp://nowhere", rules=VisitRules()),
            classifier=line_to(answer),
            recorder=Notes(),
            clock=hands,
            metrics=self.metrics,
            tolerance=5.0,
            play=play,
        )

    def play(self) -> None:
        stop = threading.Event()
        asking = threading.Thread(target=self.camera.classify, args=(stop,))
        asking.start()
        self.frames.append(LastFrame())
        self.camera.read(stop)
        wait_until(lambda: self.camera._mailbox._held is None, "the last answer")
        stop.set()
        asking.join()

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class LastFrame(SourceLost):
    """The stage is empty."""


def moving(number: int, *, camera: float | None = None, position: float | None = None, damaged=False) -> Frame:
    pixels = np.full((72, 128, 3), 100, dtype=np.uint8)
    left = (number * 9) % 100
    pixels[30:60, left : left + 20] = 250
    image = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return Frame(image=image, position=position, camera=camera, damaged=damaged)


class Visitor:
    """Asks the status application."""

    def __init__(self, agent: Agent) -> None:
        self._transport = httpx.ASGITransport(create_status_app(agent))

    def get(self, address: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://127.0.0.1") as client:
                return await client.get(address, headers=headers)

        return asyncio.run(ask())
