"""The result of one check in the registry: passed, or an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.errors import RegistryError


@dataclass(frozen=True, kw_only=True)
class Proof:
    """`detail` is what was found, for people; `error` is None where that is as it must be."""

    what: str
    detail: str
    error: RegistryError | None = None

    @property
    def ok(self) -> bool:
        """Whether it is as it must be."""
        return self.error is None

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        facts: dict[str, object] = {"what": self.what, "ok": self.ok, "detail": self.detail}
        return facts if self.error is None else {**facts, **self.error.to_dict()}


def failed(what: str, error: RegistryError) -> Proof:
    """A proof that did not succeed."""
    return Proof(what=what, detail=error.outcome, error=error)


def prove(what: str, look: Callable[[], str]) -> Proof:
    """Look, and turn an outcome of the registry into a proof that failed.

    Errors that only show that the registry cannot be read now are raised.
    """
    from registry.errors import ClockSkewed, KeyUnavailable, RegistryError, StoreRefused, StoreUnavailable

    try:
        return Proof(what=what, detail=look())
    except (ClockSkewed, KeyUnavailable, StoreRefused, StoreUnavailable):
        raise
    except RegistryError as error:
        return failed(what, error)
