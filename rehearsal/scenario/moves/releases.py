"""Moves of channels, each timed until everything that follows the channel answers from the version that it names."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from petpark.endpoints import endpoint_status
from petpark.endpoints.endpoint_status import Verdict
from petpark.targets.target import Target
from registry.channels.channel import Channel, ChannelEntry
from registry.layout.roles import Role
from rehearsal.environment import STACKS, Environment
from rehearsal.report.timeline import Release

ANSWERS_WITHIN = 60.0
"""Seconds that endpoints get to answer from a version that their channel moved to."""


class EndpointsSilent(Exception):
    """Endpoints did not answer from the version that their channel names."""


class Releases:
    """Moves channels of a running `environment`; `results`: of each move. `started`: when the scenario began."""

    def __init__(self, environment: Environment, *, started: float) -> None:
        self.results: list[Release] = []
        self._environment = environment
        self._started = started

    def move_both(self, what: str, move: Callable[[Target, str], ChannelEntry]) -> Release:
        """Move both channels at once; the one whose endpoints took longer to answer. Raises `EndpointsSilent`."""
        with ThreadPoolExecutor(len(STACKS)) as pool:
            moved = [
                pool.submit(self._move, channel, what, lambda target, channel=channel: move(target, channel))
                for channel in STACKS
            ]
            releases = [future.result() for future in moved]
        self.results.extend(releases)
        return max(releases, key=lambda release: release.answered_after or 0.0)

    def read(self, channel: str, *, since: datetime) -> Release:
        """Record where somebody else moved a channel last; times count from `since`."""
        target = self._environment.target("test")
        store = target.store(target.outputs.model_store, role=Role.READER)
        head = Channel(store, target.outputs.model, channel, memory=target.chains()).head()
        if head is None:
            raise EndpointsSilent(f"Channel {channel} names no version.")
        at = (datetime.fromisoformat(head.at) - since).total_seconds()
        release = Release(at=at, channel=channel, version=head.version, what="promote", why=head.why, by=head.by)
        self.results.append(release)
        return release

    def _move(self, channel: str, what: str, move: Callable[[Target], ChannelEntry]) -> Release:
        requested_at = time.monotonic()
        moved = move(self._environment.target(channel))
        decided = time.monotonic()
        self._await_version(channel, moved.version)
        return Release(
            at=requested_at - self._started,
            channel=channel,
            version=moved.version,
            what=what,
            answered_after=time.monotonic() - decided,
            why=moved.why,
            by=moved.by,
        )

    def _await_version(self, stack: str, version: int) -> None:
        deadline = time.monotonic() + ANSWERS_WITHIN
        pause = threading.Event()
        while True:
            answers = endpoint_status.status(self._environment.target(stack))
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
                    f"{wrong}. The instances' logs are in {self._environment.directory / 'instances'}."
                )
            pause.wait(0.1)
