"""A promotion and a rollback of both channels while clients send photos: no request may be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from petpark.models import decisions
from petpark.targets.target import Target
from registry.channels.channel import ChannelEntry
from rehearsal.environment import Environment
from rehearsal.report.steps import Steps
from rehearsal.scenario.facts_so_far import FactsSoFar
from rehearsal.scenario.moves.releases import Releases
from rehearsal.scenario.moves.traffic import Traffic, TrafficReport


class RequestsLost(Exception):
    """Requests failed during a promotion or rollback."""


class MovesUnderTraffic:
    """Moves channels while `photos` are sent to every endpoint; `keys` are the API keys of those that require one."""

    def __init__(
        self,
        environment: Environment,
        steps: Steps,
        facts: FactsSoFar,
        releases: Releases,
        *,
        photos: Sequence[bytes],
        keys: Mapping[str, str],
    ) -> None:
        self._steps = steps
        self._facts = facts
        self._releases = releases
        self._traffic = Traffic(list(environment.endpoints.values()), photos, keys=keys)

    def promote_and_roll_back(self, first: int, second: int, *, back_first: bool) -> None:
        """Promote `second` in both channels and roll it back. With `back_first`, `second` is active: the reverse order.

        Raises `RequestsLost`.
        """
        with self._traffic:
            if back_first:
                self._roll_back(first)
            self._promote(second)
            if not back_first:
                self._roll_back(first)
        report = self._traffic.report()
        self._facts.note(traffic=report)
        self._judge(report)

    def _promote(self, version: int) -> None:
        self._move(
            f"promote version {version} under traffic",
            "promote",
            lambda target, channel: decisions.promote(
                target, version, channel=channel, why=f"rehearsal: release {version}"
            ),
        )

    def _roll_back(self, version: int) -> None:
        self._move(
            f"roll back to version {version} under traffic",
            "rollback",
            lambda target, channel: decisions.roll_back(target, channel=channel, why="rehearsal: a drill").move,
        )

    def _move(self, name: str, what: str, move: Callable[[Target, str], ChannelEntry]) -> None:
        with self._steps.step(name) as step:
            slowest = self._releases.move_both(what, move)
            step.done(f"every endpoint serves it after {slowest.answered_after:.1f} s", by=slowest.by)

    def _judge(self, report: TrafficReport) -> None:
        with self._steps.step("count lost requests") as step:
            step.done(f"{len(report.failures)} of {report.requests} requests failed during both moves")
            if report.failures:
                raise RequestsLost(
                    f"{len(report.failures)} of {report.requests} requests failed; the first: {report.failures[0]}"
                )
