"""The provider as a process: started, shaken hands with over its pipe, called over gRPC, ended."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from rehearsal.engine import process
from rehearsal.engine import tfplugin5_pb2 as pb
from rehearsal.engine.errors import ProviderDiagnostics, ProviderFailed

# Terraform's plugin handshake: the cookie only tells the binary that it was not started by hand.
_COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
_PROTOCOL = "5"
_START_SECONDS = 60.0

_TYPES: Final[dict[str, tuple[type[Message], type[Message]]]] = {
    "GetSchema": (pb.GetProviderSchema.Request, pb.GetProviderSchema.Response),
    "Configure": (pb.Configure.Request, pb.Configure.Response),
    "ValidateResourceTypeConfig": (pb.ValidateResourceTypeConfig.Request, pb.ValidateResourceTypeConfig.Response),
    "UpgradeResourceState": (pb.UpgradeResourceState.Request, pb.UpgradeResourceState.Response),
    "ReadResource": (pb.ReadResource.Request, pb.ReadResource.Response),
    "PlanResourceChange": (pb.PlanResourceChange.Request, pb.PlanResourceChange.Response),
    "ApplyResourceChange": (pb.ApplyResourceChange.Request, pb.ApplyResourceChange.Response),
    "ImportResourceState": (pb.ImportResourceState.Request, pb.ImportResourceState.Response),
    "ReadDataSource": (pb.ReadDataSource.Request, pb.ReadDataSource.Response),
}


def environment(scratch: Path) -> dict[str, str]:
    """All that the provider sees of the environment: no credentials, profile, proxy or endpoint of the caller's."""
    nowhere = str(scratch / "none")
    return {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "TF_PLUGIN_MAGIC_COOKIE": _COOKIE,
        "PLUGIN_PROTOCOL_VERSIONS": _PROTOCOL,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Plugin:
    """A running provider process; `close` ends it, and so does our own end."""

    def __init__(self, binary: Path, *, scratch: Path) -> None:
        """Start `binary` and return at once; the first call waits until it serves."""
        self._scratch = scratch
        self._log = scratch / "provider.log"
        self._ready = threading.Event()
        self._handshake = ""
        self._channel: grpc.Channel | None = None
        self._opening = threading.Lock()
        with self._log.open("ab") as log:
            self._process = process.start(
                [str(binary)],
                directory=scratch,
                environment=environment(scratch),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        threading.Thread(target=self._drain, name="provider-output", daemon=True).start()

    def call(self, method: str, request: Message, *, seconds: float) -> Any:
        """Call `method` and return its response; raises `ProviderFailed` when the provider does not answer."""
        _, response = _TYPES[method]
        invoke: Callable[..., Any] = self._open().unary_unary(
            f"/tfplugin5.Provider/{method}",
            request_serializer=_serialise,
            response_deserializer=response.FromString,
        )
        try:
            return invoke(request, timeout=seconds, wait_for_ready=method == "GetSchema")
        except grpc.RpcError as error:
            raise ProviderFailed(self._why(method, error, seconds)) from error

    def wait(self) -> None:
        """Return when the provider has shaken hands; raises `ProviderFailed` if it does not."""
        self._address()

    def close(self) -> None:
        """End the provider; calls in flight break off, so wait for them first."""
        if self._channel is not None:
            self._channel.close()
        process.stop(self._process)

    def _drain(self) -> None:
        """Read the handshake line, then keep the pipe empty."""
        pipe = self._process.stdout
        if pipe is None:
            return
        try:
            self._handshake = pipe.readline().strip()
            self._ready.set()
            for _ in pipe:
                pass
        except ValueError:  # closed by `close` while we were reading
            self._ready.set()

    def _open(self) -> grpc.Channel:
        with self._opening:
            if self._channel is None:
                self._channel = grpc.insecure_channel(self._address(), options=_CHANNEL_OPTIONS)
            return self._channel

    def _address(self) -> str:
        if not self._ready.wait(_START_SECONDS):
            raise ProviderFailed(f"The AWS provider did not start within {_START_SECONDS:.0f} s.{self._tail()}")
        # core protocol | app protocol | network | address | transport | …
        fields = self._handshake.split("|")
        if len(fields) < 5 or fields[1] != _PROTOCOL or fields[4] != "grpc":
            raise ProviderFailed(
                "The AWS provider did not answer in Terraform's plugin protocol 5; is the file really "
                f"terraform-provider-aws?{self._tail()}"
            )
        return f"unix:{fields[3]}" if fields[2] == "unix" else fields[3]

    def _why(self, method: str, error: grpc.RpcError, seconds: float) -> str:
        code = error.code() if isinstance(error, grpc.Call) else None
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"The AWS provider did not answer {method} within {seconds:.0f} s; run the same command again."
        details = error.details() if isinstance(error, grpc.Call) else str(error)
        return f"The AWS provider broke off {method}: {details}.{self._tail()}"

    def _tail(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        except OSError:
            return ""
        return " Its last words: " + " / ".join(lines) if lines else ""


def _serialise(message: Message) -> bytes:
    return message.SerializeToString()


_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]


def raise_errors(diagnostics: Any) -> None:
    """Raise `ProviderDiagnostics` if any of `diagnostics` is an error."""
    if errors := error_messages(diagnostics):
        raise ProviderDiagnostics(errors)


def error_messages(diagnostics: Any) -> tuple[str, ...]:
    """The errors among `diagnostics`, each as a sentence."""
    return tuple(_sentence(d) for d in diagnostics if d.severity == pb.Diagnostic.ERROR)


def _sentence(diagnostic: pb.Diagnostic) -> str:
    text = ": ".join(part.strip() for part in (diagnostic.summary, diagnostic.detail) if part.strip())
    where = ".".join(map(str, attribute_path(diagnostic.attribute)))
    return f"{where}: {text}" if where and where not in text else text


def attribute_path(path: pb.AttributePath) -> tuple[str | int, ...]:
    """The steps of a protocol path, as keys and indices."""
    steps: list[str | int] = []
    for step in path.steps:
        if (selected := step.WhichOneof("selector")) is not None:
            steps.append(getattr(step, selected))
    return tuple(steps)
