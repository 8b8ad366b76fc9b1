"""Admission of versions: this process serves only versions that it has verified itself."""

import contextlib
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from registry.certificates.certificate import Certificate, Certificates, Verifier, require_in_force
from registry.channels.two_people import refuse_same_person, refuse_trainer
from registry.errors import (
    ClockSkewed,
    KeyUnavailable,
    LogShorter,
    NotCertified,
    RegistryError,
    SamePerson,
    SelfCertified,
    StoreRefused,
    StoreUnavailable,
)
from registry.identity import same_hands, without_arns
from registry.version import Version
from registry.versions.abstention import ABSTENTION_FILE, Abstention
from registry.versions.catalog import Catalog
from registry.versions.decision import DECISION_FILE, Decision
from serving.inference.execution_providers import CPU_ONLY
from serving.inference.loaded_model import LoadedModel, Standing
from serving.inference.session import STRANGENESS, ModelInvalid, Session
from serving.release.probes import ProbesFailed, reproduce

MODEL_FILE = "model.onnx"

_BEFORE_EVERY_EXPIRY = datetime.min.replace(tzinfo=UTC)


class VersionEntry(Protocol):
    """A log entry that makes a version serve callers: a promotion, or an experiment."""

    @property
    def version(self) -> int:
        """Number of the version."""
        ...

    @property
    def digest(self) -> str:
        """Digest that the version must have."""
        ...

    @property
    def channel(self) -> str:
        """Name of the channel."""
        ...

    @property
    def by(self) -> str:
        """ARN of the person who wrote it."""
        ...


class VersionRefused(Exception):
    """A channel entry names a version that must not be served here.

    `curable`: the same version may pass later, because the store or the certifier can fix the cause.
    `standing`: set if a decision is missing; the next one may admit the version.
    `public`: `detail` without certifiers' ARNs and notes, for callers.
    """

    def __init__(
        self, reason: str, detail: str, *, curable: bool, standing: Standing | None = None, public: str = ""
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.public = without_arns(public or detail)
        self.curable = curable
        self.standing = standing


class Admission:
    """Loads versions and verifies them: the entry's digest and author, certificate, file hashes, probe photos."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        certificates: Certificates,
        verifier: Verifier | None,
        clock: Callable[[], datetime],
        max_pixels: int,
        two_people: bool,
        providers: tuple[str, ...] = CPU_ONLY,
    ) -> None:
        """`verifier` None: uncertified versions are admitted, too.

        `two_people`: the person who promoted a version must not be the only one who certified it.
        """
        self._catalog = catalog
        self._certificates = certificates
        self._verifier = verifier
        self._clock = clock
        self._max_pixels = max_pixels
        self._two_people = two_people
        self._providers = providers

    def admit(self, entry: VersionEntry) -> LoadedModel:
        """Load, verify and warm up the version that `entry` names, and return it. Raises `VersionRefused`.

        An unreachable store or key service, or a wrong clock, does not make the version invalid: that error is raised
        unchanged.
        """
        with _refusals():
            version = self._catalog.version(entry.version, digest=entry.digest)
            certificate, standing = self._certificate(version, entry, now=self._clock())
            with tempfile.TemporaryDirectory(prefix="petpark-version-") as directory:
                return self._load(version, certificate, standing, self._catalog.fetch(version, Path(directory)))

    def admit_again(self, model: LoadedModel, entry: VersionEntry) -> LoadedModel:
        """Returns a model that is still in memory, if it was not revoked; its bytes are verified already."""
        with _refusals():
            certificate, standing = self._certificate(model.version, entry, now=self._clock())
            return replace(model, certificate=certificate, standing=standing)

    def confirm(self, model: LoadedModel, entry: VersionEntry) -> LoadedModel:
        """Returns the model of `entry` with its current certificate. Raises `VersionRefused`.

        Only a decision takes a version out of service: an expired certificate does not, nor does an unreadable log of
        decisions, whose error is raised unchanged. Needs one request without new decisions.
        """
        if not self.has_news(model.standing):
            return model
        certificate, standing = self._certificate(model.version, entry, now=_BEFORE_EVERY_EXPIRY)
        return replace(model, certificate=certificate, standing=standing)

    def has_news(self, standing: Standing | None) -> bool:
        """Returns whether there are new decisions since a version's certificate was checked. At most one request."""
        return standing is not None and self._certificates.decided_after(standing.version, standing.decisions)

    def has_expired(self, model: LoadedModel) -> bool:
        """Returns whether the model's certificate has expired."""
        left = model.certified_seconds(self._clock())
        return left is not None and left <= 0

    def _certificate(
        self, version: Version, entry: VersionEntry, *, now: datetime
    ) -> tuple[Certificate | None, Standing | None]:
        if self._verifier is None:
            return None, None
        look = self._certificates.look(version, self._verifier)
        standing = Standing(version=version, decisions=look.next_number - 1)
        try:
            certificate = require_in_force(look, version, now=now)
            refuse_trainer(version.title, version.lineage, by=certificate.by)
            if self._two_people and same_hands(certificate.by, entry.by):  # only then there is more to read
                approvals = self._certificates.approvals(version, self._verifier)
                refuse_same_person(entry.channel, version.title, certificates=approvals, by=entry.by)
        except (NotCertified, SelfCertified, SamePerson) as error:
            raise VersionRefused(
                error.outcome, str(error), curable=True, standing=standing, public=error.public
            ) from error
        return certificate, standing

    def _load(
        self, version: Version, certificate: Certificate | None, standing: Standing | None, files: dict[str, Path]
    ) -> LoadedModel:
        if MODEL_FILE not in files:
            raise ModelInvalid(f"the version has no file {MODEL_FILE}")
        session = Session(files[MODEL_FILE], providers=self._providers)
        if session.labels != tuple(version.labels):
            raise ModelInvalid(f"{MODEL_FILE} has the labels {session.labels}, the version {tuple(version.labels)}")
        model = LoadedModel(
            version=version,
            session=session,
            certificate=certificate,
            standing=standing,
            decision=_decision(files, session.labels),
            abstention=_abstention(files, session),
            max_pixels=self._max_pixels,
        )
        reproduce(model, files)  # the first calls through the whole path, which also warm it up
        return model


def _decision(files: Mapping[str, Path], labels: tuple[str, ...]) -> Decision | None:
    if DECISION_FILE not in files:
        return None
    try:
        return Decision.from_json(files[DECISION_FILE].read_bytes(), labels)
    except ValueError as error:
        raise ModelInvalid(f"{DECISION_FILE} is not a decision: {error}") from error


def _abstention(files: Mapping[str, Path], session: Session) -> Abstention | None:
    if ABSTENTION_FILE not in files:
        return None
    if STRANGENESS not in session.output_names:
        raise ModelInvalid(f"the version has {ABSTENTION_FILE}, but {MODEL_FILE} has no output {STRANGENESS}")
    try:
        return Abstention.from_json(files[ABSTENTION_FILE].read_bytes(), session.labels)
    except ValueError as error:
        raise ModelInvalid(f"{ABSTENTION_FILE} is not an abstention record: {error}") from error


@contextlib.contextmanager
def _refusals() -> Generator[None]:
    """Turns errors of a version into a refusal with the outcome's name."""
    try:
        yield
    except (StoreUnavailable, StoreRefused, KeyUnavailable, ClockSkewed, LogShorter):
        raise
    except RegistryError as error:
        raise VersionRefused(error.outcome, str(error), curable=True) from error
    except (ModelInvalid, ProbesFailed) as error:
        raise VersionRefused(type(error).__name__, str(error), curable=False) from error
