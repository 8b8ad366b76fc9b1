"""The door before everything that works or decides: who asks, may they, and not too often."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypedDict

import msgspec
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response

from serving.auth.key_polling import KeyRing
from serving.auth.key_record import ApiKey, KeyScope
from serving.auth.rate_limit import RateLimitState, Rates
from serving.problems import FORBIDDEN, KEYS_UNREAD, TOO_MANY, UNAUTHORIZED, Problem
from serving.telemetry import Metrics

REALM = 'Bearer realm="petpark"'
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)

type Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(kw_only=True)
class Caller:
    """Who is at the door, and what they may still do. `key` None: somebody without a key, where none is needed."""

    key: ApiKey | None
    allowance: RateLimitState | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer tells of the key's allowance."""
        return self.allowance.headers if self.allowance else {}


class ApiKeysState(TypedDict):
    """What `/v1/model` tells of API keys."""

    required: Annotated[bool, msgspec.Meta(description="Whether callers need an API key")]
    known: Annotated[int, msgspec.Meta(description="Keys known here")]
    read_seconds_ago: float | None


class ApiKeyAuth:
    """Lets requests in. `ring` None: this endpoint knows no keys, and nobody can do what takes one.

    Without `required`, whoever has no key may classify; a key that is shown is looked at all the same.
    """

    def __init__(
        self,
        ring: KeyRing | None,
        *,
        required: bool,
        metrics: Metrics,
        rates: Rates | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ring = ring
        self._required = required
        self._rates = rates or Rates()
        self._clock = clock
        self._callers = Counter(
            "petpark_callers", "Requests at the door, by what became of them", ("outcome",), registry=metrics.registry
        )

    def to_json(self) -> ApiKeysState:
        """Give it as `/v1/model` shows it."""
        known, age = (0, None) if self._ring is None else (self._ring.known, self._ring.age)
        return {
            "required": self._required,
            "known": known,
            "read_seconds_ago": None if age is None else round(age, 1),
        }

    def enter(self, headers: Mapping[str, str], scope: KeyScope = KeyScope.CLASSIFY) -> Caller:
        """Admit whoever sends these header lines (names in lower case). Raises `Problem` (401, 403, 429, 503)."""
        try:
            caller = self._enter(headers, scope)
        except Problem as problem:
            self._callers.labels(problem.kind.name).inc()
            raise
        self._callers.labels("anonymous" if caller.key is None else "key").inc()
        return caller

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a key is shown that holds now; nothing is counted or refused."""
        try:
            shown = _shown(headers)
            if shown is None:
                return False
            self._known(shown)
        except Problem:
            return False
        return True

    def charge(self, caller: Caller, photos: int) -> None:
        """Count the photos of a request beyond its first."""
        if caller.key is not None and photos > 1:
            caller.allowance = self._rates.charge(caller.key, photos - 1)

    def guard(self, endpoint: Endpoint, scope: KeyScope = KeyScope.CLASSIFY) -> Endpoint:
        """Put the door before `endpoint`; it finds the `Caller` in the request's state."""

        async def guarded(request: Request) -> Response:
            caller = self.enter(request.headers, scope)
            request.state.caller = caller
            try:
                response = await endpoint(request)
            except Problem as problem:
                problem.headers = {**problem.headers, **caller.headers}
                raise
            response.headers.update(caller.headers)
            return response

        return guarded

    def _enter(self, headers: Mapping[str, str], scope: KeyScope) -> Caller:
        shown = _shown(headers)
        if shown is None and not self._required and scope is KeyScope.CLASSIFY:
            return Caller(key=None)
        if shown is None:
            raise _unauthorized("This takes an API key: send Authorization: Bearer pp_… (`petpark keys create`).", "")
        key = self._known(shown)
        if scope not in key.scopes:
            raise Problem(
                FORBIDDEN,
                f"The key {key.name} has the scopes {', '.join(sorted(key.scopes))}; this takes {scope}.",
                headers={"www-authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'},
            )
        allowance = self._rates.take(key)
        if not allowance.granted:
            raise Problem(
                TOO_MANY,
                f"The key {key.name} may ask for {key.rate:g} photos a second, and {key.burst} at once. "
                f"Try again in {allowance.wait} s.",
                headers={**allowance.headers, "retry-after": str(allowance.wait)},
            )
        return Caller(key=key, allowance=allowance)

    def _known(self, shown: str) -> ApiKey:
        if self._ring is None:
            raise _unauthorized("This endpoint knows no API keys.", "invalid_token")
        if not self._ring.usable:
            raise Problem(
                KEYS_UNREAD, "The API keys could not be read for too long, so none can be checked.", retry_after=5
            )
        key = self._ring.find(shown)
        if key is None:
            raise _unauthorized("The API key is not known here, or was revoked.", "invalid_token")
        if key.expired(self._clock()):
            raise _unauthorized(f"The API key {key.name} has expired; ask for a new one.", "invalid_token")
        return key


def _shown(headers: Mapping[str, str]) -> str | None:
    """Give the key in the header lines. Raises `Problem` (401) for an Authorization that holds none."""
    if authorization := headers.get("authorization"):
        found = _BEARER.fullmatch(authorization)
        if found is None:
            raise _unauthorized("The Authorization is not of the form: Bearer pp_….", "invalid_request")
        return found[1]
    return headers.get("x-api-key") or None


def _unauthorized(detail: str, error: str) -> Problem:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3: no error code for a request without a key."""
    challenge = f'{REALM}, error="{error}"' if error else REALM
    return Problem(UNAUTHORIZED, detail, headers={"www-authenticate": challenge})
