"""Requests that a client sends, counted."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Requests:
    """Counts what `client` puts on the wire, repeated tries included."""

    def __init__(self, client: "S3Client") -> None:
        self._sent = 0
        client.meta.events.register("before-send.s3", self._count)

    def taken(self) -> int:
        """How many since the last call of this."""
        sent, self._sent = self._sent, 0
        return sent

    def _count(self, **_event: object) -> None:
        self._sent += 1
