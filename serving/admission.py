"""Whether a version may answer here: nothing is served that this process has not verified itself."""

import contextlib
import tempfile
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from registry.catalog import Catalog
from registry.certificate import Certificate, Certificates, Verifier
from registry.channel import Move
from registry.errors import KeyUnavailable, RegistryError, StoreRefused, StoreUnavailable
from registry.version import Version
from serving.model import LoadedModel
from serving.probes import ProbesFailed, reproduce
from serving.session import ModelInvalid, Session

MODEL_FILE = "model.onnx"


class VersionRefused(Exception):
    """A channel entry names a version that must not answer here.

    `curable`: the same version may pass later, for the store or the certifier can mend what is missing.
    """

    def __init__(self, reason: str, detail: str, *, curable: bool) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.curable = curable


class Admission:
    """Loads versions and verifies them: the entry's digest, the certificate, every file's hash, the probe photos."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        certificates: Certificates,
        verifier: Verifier | None,
        clock: Callable[[], datetime],
        max_pixels: int,
    ) -> None:
        """`verifier` None: uncertified versions are admitted too."""
        self._catalog = catalog
        self._certificates = certificates
        self._verifier = verifier
        self._clock = clock
        self._max_pixels = max_pixels

    def admit(self, move: Move) -> LoadedModel:
        """Load and verify the version that `move` names; give it warm. Raises `VersionRefused`.

        A store or a key service that does not answer is no fault of the version: its error passes through.
        """
        with _refusals():
            version = self._catalog.version(move.version, digest=move.digest)
            certificate = self._certificate(version)
            with tempfile.TemporaryDirectory(prefix="petpark-version-") as directory:
                return self._load(version, certificate, self._catalog.fetch(version, Path(directory)))

    def admit_again(self, model: LoadedModel) -> LoadedModel:
        """Admit a model that is still in memory: its bytes are proved, but it may have been revoked since."""
        with _refusals():
            return replace(model, certificate=self._certificate(model.version))

    def _certificate(self, version: Version) -> Certificate | None:
        if self._verifier is None:
            return None
        return self._certificates.require(version, self._verifier, now=self._clock())

    def _load(self, version: Version, certificate: Certificate | None, files: dict[str, Path]) -> LoadedModel:
        if MODEL_FILE not in files:
            raise ModelInvalid(f"the version has no file {MODEL_FILE}")
        session = Session(files[MODEL_FILE])
        if session.labels != tuple(version.labels):
            raise ModelInvalid(f"{MODEL_FILE} has the labels {session.labels}, the version {tuple(version.labels)}")
        model = LoadedModel(version=version, session=session, certificate=certificate, max_pixels=self._max_pixels)
        reproduce(model, files)  # the first calls through the whole path: they warm it too
        return model


@contextlib.contextmanager
def _refusals() -> Generator[None]:
    """Turn what is wrong with a version into a refusal that carries the outcome's name."""
    try:
        yield
    except (StoreUnavailable, StoreRefused, KeyUnavailable):
        raise
    except RegistryError as error:
        raise VersionRefused(error.outcome, str(error), curable=True) from error
    except (ModelInvalid, ProbesFailed) as error:
        raise VersionRefused(type(error).__name__, str(error), curable=False) from error
