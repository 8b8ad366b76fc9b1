"""Rate limits of API keys: one token bucket per key. https://en.wikipedia.org/wiki/Token_bucket

A token is a photo. A request is accepted while there is one token, and charged for all its photos afterwards: a large
batch leaves a debt that must refill first. So no request is too large to be accepted, and none is processed in part.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.auth.key_record import ApiKey


@dataclass(frozen=True, kw_only=True)
class RateLimitState:
    """State of a key's rate limit."""

    granted: bool
    limit: int
    window: int
    """Seconds in which `limit` tokens refill."""
    remaining: int
    wait: int
    """Seconds until the next token; 0 while there is one."""

    @property
    def headers(self) -> dict[str, str]:
        """Returns the header fields of the IETF's draft. https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/"""
        return {
            "ratelimit-policy": f'"photos";q={self.limit};w={self.window}',
            "ratelimit": f'"photos";r={self.remaining};t={self.wait}',
        }


@dataclass(kw_only=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """The buckets of all keys of one endpoint, by name, so that a rotated key has no second bucket."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, key: ApiKey) -> RateLimitState:
        """Take a token if there is one. Returns the state."""
        with self._lock:
            bucket = self._refilled(key)
            granted = bucket.tokens >= 1
            if granted:
                bucket.tokens -= 1
            return self._state(key, bucket, granted=granted)

    def charge(self, key: ApiKey, tokens: int) -> RateLimitState:
        """Take the tokens of an accepted request beyond its first, into debt if necessary. Returns the state."""
        with self._lock:
            bucket = self._refilled(key)
            bucket.tokens -= tokens
            return self._state(key, bucket, granted=True)

    def _refilled(self, key: ApiKey) -> _Bucket:
        now = self._monotonic()
        bucket = self._buckets.setdefault(key.name, _Bucket(tokens=key.burst, at=now))
        bucket.tokens = min(float(key.burst), bucket.tokens + (now - bucket.at) * key.rate)
        bucket.at = now
        return bucket

    def _state(self, key: ApiKey, bucket: _Bucket, *, granted: bool) -> RateLimitState:
        return RateLimitState(
            granted=granted,
            limit=key.burst,
            window=max(1, math.ceil(key.burst / key.rate)),
            remaining=max(0, math.floor(bucket.tokens)),
            wait=0 if bucket.tokens >= 1 else max(1, math.ceil((1 - bucket.tokens) / key.rate)),
        )
