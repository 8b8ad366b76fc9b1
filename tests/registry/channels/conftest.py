"""A registry whose versions are promoted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry.certificates.certificate import Certificates, Decision
from registry.channel_policy import STRICT, ChannelPolicy
from registry.channels.channel import Channel
from registry.channels.promotion import PromotionService
from registry.store.object_store import ObjectStore
from registry.versions.catalog import Catalog
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = MemorySigner()
OPEN = ChannelPolicy(certificate=False, two_people=False, gates=False)
PASSED = {"gate_accuracy": 1.0}


class Park:
    """Two versions, channel prod, and somebody who may certify."""

    def __init__(self, store: ObjectStore, files: dict[str, Path]) -> None:
        self.catalog = Catalog(store, "pets")
        self.prod = Channel(store, "pets", "prod")
        self.certificates = Certificates(store, "pets", clock=lambda: NOW)
        for run in ("r-1", "r-2"):
            self.catalog.publish(files, labels=["cat", "dog"], metrics=PASSED, lineage={"run": run})

    def decide(self, number: int, decision: Decision = "certified") -> None:
        self.certificates.sign(
            self.catalog.version(number),
            decision=decision,
            signer=SIGNER,
            by="vera",
            report_sha256=None,
            expires_at=NOW + timedelta(days=1),
            note="x",
        )

    def desk(self, policy: ChannelPolicy) -> PromotionService:
        return PromotionService(
            catalog=self.catalog,
            channel=self.prod,
            certificates=self.certificates,
            policy=policy,
            verifier=MemoryVerifier(SIGNER),
        )

    def promote(
        self,
        number: int,
        *,
        policy: ChannelPolicy = STRICT,
        by: str = "mia",
        expected: int | None = None,
        now: datetime = NOW,
    ) -> int:
        return self.desk(policy).promote(number, by=by, why="better", expected=expected, now=now).version

    def roll_back(
        self, *, policy: ChannelPolicy = STRICT, by: str = "mia", to: int | None = None, again: bool = False
    ) -> int:
        return self.desk(policy).roll_back(by=by, why="worse", to=to, again=again, now=NOW).version


@pytest.fixture
def park(store: ObjectStore, files: dict[str, Path]) -> Park:
    return Park(store, files)


VERA = "arn:aws:sts::1:assumed-role/certifier/vera"
MIA = "arn:aws:sts::1:assumed-role/promoter/mia"
