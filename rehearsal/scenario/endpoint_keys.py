"""API keys of the endpoints that require one: created as an operator would for a camera, and tried."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

import httpx

from petpark.endpoints import api_keys
from registry.layout.roles import Role
from rehearsal.environment import STACKS, Environment
from rehearsal.report.steps import Steps
from serving.auth.key_record import KeyScope


class ApiKeysNotEnforced(Exception):
    """An endpoint that requires API keys admits callers without one, or refuses callers with one."""


class EndpointKeys:
    """`of` maps endpoint URLs to keys, where one is required; `photo` returns the photo that is sent."""

    def __init__(self, environment: Environment, steps: Steps, *, photo: Callable[[], bytes]) -> None:
        self.of: dict[str, str] = {}
        self._environment = environment
        self._steps = steps
        self._photo = photo

    def make(self) -> None:
        """Create a key for each endpoint that requires one."""
        for stack in STACKS:
            target = self._environment.target(stack)
            if target.outputs.endpoint.api_keys == "open":
                continue
            with self._steps.step(f"create an API key for {stack}") as step:
                made = api_keys.create(
                    target,
                    "rehearsal",
                    rate=1000.0,
                    burst=1000,
                    lifetime=timedelta(days=1),
                    scopes=[KeyScope.CLASSIFY],
                )
                self.of[self._environment.endpoints[stack]] = made.key
                step.done("stored as a hash; not shown", by=target.identity(role=Role.PROMOTER))

    def attempt(self) -> None:
        """Check that endpoints that require keys refuse callers without one and accept the new key."""
        for url, key in self.of.items():
            with self._steps.step("call prod without a key, and with it") as step:
                without = self._call(url, None)
                answered = self.wait_until_known(url, key)
                if (without, answered) != (HTTPStatus.UNAUTHORIZED, HTTPStatus.OK):
                    raise ApiKeysNotEnforced(f"{url} answers {without} without a key and {answered} with one.")
                step.done(f"{without} without, {answered} with it")

    def wait_until_known(self, url: str, key: str | None) -> int:
        """Call with a key until the endpoint accepts it, or should have. Returns the last status."""
        deadline = time.monotonic() + api_keys.HEARD_WITHIN
        while (answered := self._call(url, key)) != HTTPStatus.OK and time.monotonic() < deadline:
            threading.Event().wait(0.5)
        return answered

    def _call(self, url: str, key: str | None) -> int:
        headers = {"content-type": "image/jpeg"} | ({} if key is None else {"authorization": f"Bearer {key}"})
        with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
            return client.post("/v1/classify", content=self._photo(), headers=headers).status_code
