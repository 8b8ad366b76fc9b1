"""An instance metadata service that insists on a token, as IMDSv2 does."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

_HEAD = "/latest/meta-data/"


class Imds(ThreadingHTTPServer):
    """Serves `facts`, by path below `/latest/meta-data/`; 404 for other paths."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.facts: Mapping[str, str] = {}
        self.asked = Event()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Imds  # pyright: ignore[reportIncompatibleVariableOverride] - as the standard library types it

    def do_PUT(self) -> None:
        self._answer(200 if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else 400, "token")

    def do_GET(self) -> None:
        self.server.asked.set()
        if self.headers["X-aws-ec2-metadata-token"] != "token" or not self.path.startswith(_HEAD):
            return self._answer(401)
        fact = self.server.facts.get(self.path.removeprefix(_HEAD))
        return self._answer(404) if fact is None else self._answer(200, fact)

    def _answer(self, status: int, body: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def serving() -> Generator[Imds]:
    """Start one; it ends with the block."""
    with Imds() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
