"""The result of one check in the registry: passed, or an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.errors import RegistryError


@dataclass(frozen=True, kw_only=True)
class Proof:
    """`detail` is the finding as text; `error` is None if the check passed."""

    what: str
    detail: str
    error: RegistryError | None = None

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return self.error is None

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        facts: dict[str, object] = {"what": self.what, "ok": self.ok, "detail": self.detail}
        return facts if self.error is None else {**facts, **self.error.to_dict()}


def failed(what: str, error: RegistryError) -> Proof:
    """Returns a failed proof."""
    return Proof(what=what, detail=error.outcome, error=error)


def prove(what: str, look: Callable[[], str]) -> Proof:
    """Run a check and turn the registry's error into a failed proof. Returns the proof.

    Errors that mean only that the registry cannot be read now are raised.
    """
    from registry.errors import ClockSkewed, KeyUnavailable, RegistryError, StoreRefused, StoreUnavailable

    try:
        return Proof(what=what, detail=look())
    except (ClockSkewed, KeyUnavailable, StoreRefused, StoreUnavailable):
        raise
    except RegistryError as error:
        return failed(what, error)
