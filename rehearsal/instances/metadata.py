"""The instance metadata service (IMDS) of a rehearsed instance, on the instance's own loopback address.

Version 2 (session tokens) always works; version 1 only where the instance does not require tokens. Source:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.instances.addresses import candidates
from rehearsal.instances.cloud import Instance
from rehearsal.instances.credentials import RoleSession, stamp

PORT = 1338
LONGEST_TOKEN_SECONDS = 21_600


class NoAddressFree(Exception):
    """No loopback address was left for an instance."""


class MetadataService:
    """Answers for one instance. Its listening socket is also what claims the instance's address on this machine.

    `look` reads the instance again (tags change); `credentials` returns the role's, None if there is no role.
    """

    def __init__(
        self,
        instance: Instance,
        user_data: bytes,
        *,
        region: str,
        look: Callable[[], Instance],
        credentials: Callable[[], RoleSession | None],
    ) -> None:
        self._instance = instance
        self._user_data = user_data
        self._region = region
        self._look = look
        self._credentials = credentials
        self._tokens: dict[str, float] = {}
        self._notice: datetime | None = None
        self._rebalance: datetime | None = None
        self._server = _claim(instance, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=f"imds-{instance.id}", daemon=True
        )

    @property
    def address(self) -> str:
        """The instance's loopback address."""
        return str(self._server.server_address[0])

    @property
    def url(self) -> str:
        """What `AWS_EC2_METADATA_SERVICE_ENDPOINT` is set to."""
        return f"http://{self.address}:{PORT}"

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering and release the address. May be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def give_notice(self, moment: datetime | None) -> None:
        """Announce a spot interruption at `moment`, or take the notice back."""
        self._notice = moment

    def recommend_rebalance(self, moment: datetime) -> None:
        """Recommend since `moment` to move elsewhere.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
        """
        self._rebalance = moment

    def grant(self, seconds: int) -> str:
        """A session token that lasts so long."""
        now = time.monotonic()
        self._tokens = {token: end for token, end in self._tokens.items() if end > now}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = now + seconds
        return token

    def admits(self, token: str | None) -> bool:
        """Whether a request with this token, or none, is answered."""
        if token is None:
            return not self._instance.tokens_required
        return self._tokens.get(token, 0.0) > time.monotonic()

    def read(self, path: str) -> bytes | None:
        """The body at a path below `/latest/`: a leaf's text, a folder's listing, or None."""
        if path == "user-data":
            return self._user_data or None
        leaves = self._leaves(path)
        if path.rstrip("/") in leaves:
            return leaves[path.rstrip("/")].encode()
        folder = f"{path.rstrip('/')}/"
        names = {_first_step(leaf.removeprefix(folder)) for leaf in leaves if leaf.startswith(folder)}
        return "\n".join(sorted(names)).encode() if names else None

    def _leaves(self, path: str) -> dict[str, str]:
        instance = self._instance
        leaves = {
            "ami-id": instance.image,
            "ami-launch-index": str(instance.launch_index),
            "instance-action": "none",
            "instance-id": instance.id,
            "instance-life-cycle": instance.lifecycle,
            "instance-type": instance.type,
            "local-hostname": f"ip-{instance.private_ip.replace('.', '-')}.{self._region}.compute.internal",
            "local-ipv4": instance.private_ip,
            "placement/availability-zone": instance.zone,
            "placement/region": self._region,
            "reservation-id": instance.reservation,
            "services/domain": "amazonaws.com",
        }
        if path.startswith("meta-data/tags"):
            leaves |= self._tags()
        if path.startswith("meta-data/iam"):
            leaves |= self._identity()
        if self._notice:
            action = {"action": "terminate", "time": stamp(self._notice)}
            leaves |= {"spot/instance-action": json.dumps(action), "spot/termination-time": stamp(self._notice)}
        if self._rebalance:
            leaves["events/recommendations/rebalance"] = json.dumps({"noticeTime": stamp(self._rebalance)})
        document = json.dumps(self._document(), indent=2)
        return {f"meta-data/{name}": value for name, value in leaves.items()} | {
            "dynamic/instance-identity/document": document
        }

    def _tags(self) -> dict[str, str]:
        instance = self._look()
        return {f"tags/instance/{key}": value for key, value in instance.tags.items() if instance.tags_in_metadata}

    def _identity(self) -> dict[str, str]:
        session = self._credentials()
        if session is None:
            return {}
        info = {
            "Code": "Success",
            "LastUpdated": session.document["LastUpdated"],
            "InstanceProfileArn": self._instance.profile_arn,
        }
        return {
            "iam/info": json.dumps(info),
            f"iam/security-credentials/{session.role}": json.dumps(dict(session.document)),
        }

    def _document(self) -> Mapping[str, Any]:
        instance = self._instance
        return {
            "version": "2017-09-30",
            "accountId": (instance.profile_arn or "::::000000000000:").split(":")[4],
            "instanceId": instance.id,
            "instanceType": instance.type,
            "imageId": instance.image,
            "privateIp": instance.private_ip,
            "availabilityZone": instance.zone,
            "region": self._region,
        }


def _first_step(path: str) -> str:
    step, slash, _ = path.partition("/")
    return step + slash


def _claim(instance: Instance, service: MetadataService) -> ThreadingHTTPServer:
    """Bind the first derived address that is free on this machine; other rehearsals' instances count too."""

    class Handler(_Handler):
        metadata = service

    for address in candidates(instance.private_ip):
        try:
            return _Server((address, PORT), Handler)
        except OSError:
            continue
    raise NoAddressFree(
        f"No loopback address is free for {instance.id} ({instance.private_ip}): port {PORT} is taken on all. "
        f"End the program that listens on port {PORT} of all addresses (`ss -ltnp 'sport = :{PORT}'` names it)."
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that disconnected is not logged."""


class _Handler(BaseHTTPRequestHandler):
    metadata: MetadataService
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    server_version = "EC2ws"
    timeout = 30

    def do_PUT(self) -> None:
        """Hand out a session token."""
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token":
            self._answer(HTTPStatus.NOT_FOUND)
        elif "X-Forwarded-For" in self.headers:
            self._answer(HTTPStatus.FORBIDDEN)
        elif not seconds.isdigit() or not 1 <= int(seconds) <= LONGEST_TOKEN_SECONDS:
            self._answer(HTTPStatus.BAD_REQUEST)
        else:
            token = self.metadata.grant(int(seconds)).encode()
            self._answer(HTTPStatus.OK, token, {"X-aws-ec2-metadata-token-ttl-seconds": seconds})

    def do_GET(self) -> None:
        """Answer with a leaf or a listing."""
        if not self.metadata.admits(self.headers.get("X-aws-ec2-metadata-token")):
            return self._answer(HTTPStatus.UNAUTHORIZED)
        try:
            body = self.metadata.read(self.path.removeprefix("/latest/"))
        except (BotoCoreError, ClientError) as problem:  # the emulator refused or has ended: reported, not hidden
            return self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{problem}\n".encode())
        if body is None:
            return self._answer(HTTPStatus.NOT_FOUND)
        return self._answer(HTTPStatus.OK, body)

    def _answer(self, status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: a spot watcher polls every second."""
