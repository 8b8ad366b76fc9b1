"""Rate limits of API keys: one token bucket per key. https://en.wikipedia.org/wiki/Token_bucket

Tokens are photos. A request is let in while there is one token, and pays afterwards for all that it brought: a large
batch leaves a debt that has to refill first, so no request is too large to be ever let in, and none is half done.
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
    """Seconds in which `limit` tokens come back."""
    remaining: int
    wait: int
    """Seconds until there is a token again; 0 while there is one."""

    @property
    def headers(self) -> dict[str, str]:
        """The fields of the IETF's draft. https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/"""
        return {
            "ratelimit-policy": f'"photos";q={self.limit};w={self.window}',
            "ratelimit": f'"photos";r={self.remaining};t={self.wait}',
        }


@dataclass(kw_only=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """The buckets of all keys of one endpoint. They are by name, so a rotated key has no second one."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, key: ApiKey) -> RateLimitState:
        """Take a token if there is one."""
        with self._lock:
            bucket = self._refilled(key)
            granted = bucket.tokens >= 1
            if granted:
                bucket.tokens -= 1
            return self._state(key, bucket, granted=granted)

    def charge(self, key: ApiKey, tokens: int) -> RateLimitState:
        """Take what a request that was let in costs beyond its first token, into debt if need be."""
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
