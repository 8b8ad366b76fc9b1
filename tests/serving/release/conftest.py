"""An experiment at an endpoint."""

from datetime import timedelta

import pytest

from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Evidence, Mode, Rule


class Trial:
    """An endpoint that follows one experiment of the park's."""

    def __init__(self, park, endpoint):
        self.park, self.endpoint = park, endpoint
        self.log = Experiments(park.store, "pets", "prod", clock=lambda: park.now)

    def begin(self, version, *, mode: Mode = "canary", share=0.5, hours=1.0, by="otto"):
        begun = self.log.start(
            version,
            self.park.channel.head(),
            mode=mode,
            share=share,
            rule=Rule(),
            until=self.park.now + timedelta(hours=hours),
            by=by,
            why="test",
        )
        assert self.step()
        return begun

    def end(self, begun):
        self.log.conclude(begun, outcome="stopped", reasons=(), evidence=Evidence(), by="otto")

    def step(self):
        return self.endpoint.challenger.step()

    def ask(self, count=1, **headers):
        """The versions that answered, and the arms that the answers name."""
        answers = [
            self.endpoint.http.post(
                "/v1/classify",
                content=self.endpoint.photo,
                headers={"content-type": "image/jpeg", "x-request-id": f"r{number}", **headers},
            )
            for number in range(count)
        ]
        assert {answer.status_code for answer in answers} == {200}
        return [(a.json()["model"]["version"], a.headers.get("x-petpark-arm")) for a in answers]

    @property
    def reported(self):
        return self.endpoint.model()["experiment"]


@pytest.fixture
def trial(park, endpoint):
    return Trial(park, endpoint)


@pytest.fixture
def challenger(park, endpoint):
    """Version 2, certified; version 1 is in force."""
    return park.certified(sharpness=2.0)
