"""The request for each peer, and how it is started."""

import base64
import importlib.metadata
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.s3_server import ROOT
from benchmarks.support.service import Service, free_port

ENVIRONMENT = ROOT / ".venv-benchmarks"
APPS = Path(__file__).parent / "peers"
DOCUMENTED, TUNED = "as documented", "tuned"
WAYS = (DOCUMENTED, TUNED)
"""How peers decode: as in their documentation, and as an expert in Pillow and JPEG would."""

_BOUNDARY = "photo-8a0f"


@dataclass(frozen=True, kw_only=True)
class Question:
    """How a server wants its photo."""

    path: str
    content_type: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server to measure against."""

    name: str
    package: str
    command: tuple[str, ...]  # its first word is a program of the environment
    ready: str
    question: Callable[[bytes], Question]

    @property
    def version(self) -> str | None:
        """None if it is not installed."""
        packages = [str(path) for path in ENVIRONMENT.glob("lib/python3*/site-packages")]
        found = importlib.metadata.distributions(name=self.package, path=packages)
        return next((distribution.version for distribution in found), None)

    def service(self, model: Path, directory: Path, *, workers: int, way: str) -> Service:
        """Its server, not started yet; `way` is how it decodes, one of `WAYS`."""
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        programs = ENVIRONMENT / "bin"
        return Service(
            [str(programs / self.command[0]), *(word.format(port=port) for word in self.command[1:])],
            port=port,
            log=directory / "log.txt",
            environment={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(directory),
                "MODEL": str(model),
                "PORT": str(port),
                "WORKERS": str(workers),
                "DECODE": way,
                "OMP_NUM_THREADS": "1",
                "BENTOML_DO_NOT_TRACK": "true",
                "NO_PROXY": "127.0.0.1",
            },
            ready=self.ready,
            directory=APPS,
        )


def _raw(photo: bytes) -> Question:
    return Question(path="/predict", content_type="image/jpeg", body=photo)


def _form(photo: bytes) -> Question:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="request"; filename="photo.jpg"\r\n'
    body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + photo + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return Question(path="/predict", content_type=f"multipart/form-data; boundary={_BOUNDARY}", body=body)


def _instances(photo: bytes) -> Question:
    document = {"instances": [{"image": {"b64": base64.b64encode(photo).decode()}}]}
    return Question(path="/v1/models/pets:predict", content_type="application/json", body=json.dumps(document).encode())


PEERS = (
    Peer(name="FastAPI", package="fastapi", command=("python", "fastapi_app.py"), ready="/ready", question=_raw),
    Peer(
        name="KServe",
        package="kserve",
        command=("python", "kserve_app.py"),
        ready="/v2/health/ready",
        question=_instances,
    ),
    Peer(name="LitServe", package="litserve", command=("python", "litserve_app.py"), ready="/health", question=_form),
    Peer(
        name="BentoML",
        package="bentoml",
        command=("bentoml", "serve", "bentoml_app:Pets", "--host", "127.0.0.1", "--port", "{port}"),
        ready="/readyz",
        question=_raw,
    ),
)
