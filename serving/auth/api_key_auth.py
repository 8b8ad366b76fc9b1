"""API-key authentication: callers, their scopes and their rate limits."""

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypedDict

import msgspec
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response

from registry.clock import Clock, utc_now
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
    """An authenticated caller with the state of its rate limit. `key` None: no key was sent, and none is required."""

    key: ApiKey | None
    rate_limit: RateLimitState | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers with the state of the key's rate limit."""
        return self.rate_limit.headers if self.rate_limit else {}


class ApiKeysState(TypedDict):
    """The API-key fields of `/v1/model`."""

    required: Annotated[bool, msgspec.Meta(description="Whether callers need an API key")]
    known: Annotated[int, msgspec.Meta(description="Keys known here")]
    read_seconds_ago: float | None


class ApiKeyAuth:
    """Authenticates requests. `ring` None: the endpoint has no keys, so operations that require one are refused.

    Without `required`, callers without a key may classify; a key that is sent is checked anyway.
    """

    def __init__(
        self,
        ring: KeyRing | None,
        *,
        required: bool,
        metrics: Metrics,
        rates: Rates | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._ring = ring
        self._required = required
        self._rates = rates or Rates()
        self._clock = clock
        self._callers = Counter(
            "petpark_callers", "Requests, by result of authentication", ("outcome",), registry=metrics.registry
        )
        self._callers_of = functools.cache(self._callers.labels)

    def to_json(self) -> ApiKeysState:
        """Returns it as in `/v1/model`."""
        known, age = (0, None) if self._ring is None else (self._ring.known, self._ring.age)
        return {
            "required": self._required,
            "known": known,
            "read_seconds_ago": None if age is None else round(age, 1),
        }

    def authenticate(self, headers: Mapping[str, str], scope: KeyScope = KeyScope.CLASSIFY) -> Caller:
        """Returns the caller of these headers (names in lower case). Raises `Problem` (401, 403, 429, 503)."""
        try:
            caller = self._authenticate(headers, scope)
        except Problem as problem:
            self._callers.labels(problem.kind.name).inc()
            raise
        self._callers_of("anonymous" if caller.key is None else "key").inc()
        return caller

    def has_valid_key(self, headers: Mapping[str, str]) -> bool:
        """Returns whether the headers have a valid key, without counting or refusing."""
        try:
            presented = _key_in(headers)
            if presented is None:
                return False
            self._known(presented)
        except Problem:
            return False
        return True

    def charge(self, caller: Caller, photos: int) -> None:
        """Count the photos of a request beyond its first."""
        if caller.key is not None and photos > 1:
            caller.rate_limit = self._rates.charge(caller.key, photos - 1)

    def guard(self, endpoint: Endpoint, scope: KeyScope = KeyScope.CLASSIFY) -> Endpoint:
        """Returns `endpoint` with authentication; the `Caller` is in the request's state."""

        async def guarded(request: Request) -> Response:
            caller = self.authenticate(request.headers, scope)
            request.state.caller = caller
            try:
                response = await endpoint(request)
            except Problem as problem:
                problem.headers = {**problem.headers, **caller.headers}
                raise
            response.headers.update(caller.headers)
            return response

        return guarded

    def _authenticate(self, headers: Mapping[str, str], scope: KeyScope) -> Caller:
        presented = _key_in(headers)
        if presented is None and not self._required and scope is KeyScope.CLASSIFY:
            return Caller(key=None)
        if presented is None:
            raise _unauthorized("Send an API key: Authorization: Bearer pp_…. `petpark keys create` makes one.", "")
        key = self._known(presented)
        if scope not in key.scopes:
            raise Problem(
                FORBIDDEN,
                f"The key {key.name} has the scopes {', '.join(sorted(key.scopes))}; this requires {scope}.",
                headers={"www-authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'},
            )
        rate_limit = self._rates.take(key)
        if not rate_limit.granted:
            raise Problem(
                TOO_MANY,
                f"The key {key.name} is limited to {key.rate:g} photos per second with a burst of {key.burst}. "
                f"Retry in {rate_limit.wait} s.",
                headers={**rate_limit.headers, "retry-after": str(rate_limit.wait)},
            )
        return Caller(key=key, rate_limit=rate_limit)

    def _known(self, presented: str) -> ApiKey:
        if self._ring is None:
            raise _unauthorized("This endpoint has no API keys.", "invalid_token")
        if not self._ring.usable:
            raise Problem(KEYS_UNREAD, "API keys cannot be checked: the last known ones are too old.", retry_after=5)
        key = self._ring.find(presented)
        if key is None:
            raise _unauthorized("The API key is unknown or was revoked.", "invalid_token")
        if key.expired(self._clock()):
            raise _unauthorized(f"The API key {key.name} has expired. Request a new one.", "invalid_token")
        return key


def _key_in(headers: Mapping[str, str]) -> str | None:
    """Returns the key in the header lines. Raises `Problem` (401) for an Authorization without one."""
    if authorization := headers.get("authorization"):
        found = _BEARER.fullmatch(authorization)
        if found is None:
            raise _unauthorized("The Authorization header must have the form: Bearer pp_….", "invalid_request")
        return found[1]
    return headers.get("x-api-key") or None


def _unauthorized(detail: str, error: str) -> Problem:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3: no error code for a request without a key."""
    challenge = f'{REALM}, error="{error}"' if error else REALM
    return Problem(UNAUTHORIZED, detail, headers={"www-authenticate": challenge})
