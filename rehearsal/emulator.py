"""An emulator of AWS as a child process: started, checked by real calls, stopped with only its log left.

The process binds to loopback only, keeps everything it writes below one directory, tries to reach nothing outside
this machine and ends with its parent. Which emulator that is, `rehearsal.emulators` describes; what AWS does and the
emulator does not is restored by `emulator_plugin/`. `docs/design/emulators.md` says what an emulator must do.
"""

import contextlib
import errno
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.emulators import DEFAULT, PLUGIN, EmulatorPaths, Product

REPOSITORY = Path(__file__).resolve().parent.parent
ROOT_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
START_SECONDS = 120.0  # 6 s of processor time; many times that where others want the processor too
SPACE_NEEDED = 512 * 2**20

# One harmless call each to the services that petpark's program uses: what answers here works, whatever a health page
# says.
CHECKS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("sts", "get_caller_identity", {}),
    ("iam", "list_roles", {}),
    ("s3", "list_buckets", {}),
    ("kms", "list_keys", {}),
    ("ec2", "describe_vpcs", {}),
    ("autoscaling", "describe_auto_scaling_groups", {}),
    ("elbv2", "describe_load_balancers", {}),
    ("ssm", "describe_parameters", {}),
    ("logs", "describe_log_groups", {}),
    ("cloudwatch", "describe_alarms", {}),
    ("events", "list_rules", {}),
    ("sqs", "list_queues", {}),
    ("sns", "list_topics", {}),
)


class EmulatorError(Exception):
    """The emulator could not be started; the message says why and what to do."""


class EmulatorMissing(EmulatorError):
    """The emulator's environment is missing."""


class EmulatorFailed(EmulatorError):
    """The emulator ended early or did not answer in time."""


class PortInUse(EmulatorError):
    """Another process listens where the emulator should."""


class NotLoopback(EmulatorError):
    """The emulator's address could be reached from other machines."""


class DiskFull(EmulatorError):
    """There is too little space for what the emulator writes."""


class Emulator:
    """One rehearsal's emulator. A context manager: started on entry, stopped on exit.

    `directory` is created and, on stop, emptied but for `emulator.log`. `port` 0 takes a free one. `product` says which
    emulator. `python` is the interpreter of its environment: by default `$PETPARK_EMULATOR_PYTHON`, else the one that
    the product's set-up builds.
    """

    def __init__(
        self,
        directory: Path,
        *,
        product: Product = DEFAULT,
        host: str = "127.0.0.1",
        port: int = 0,
        region: str = "eu-west-1",
        enforce_iam: bool = True,
        python: Path | None = None,
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise NotLoopback(
                f"The emulator listens on loopback only, not on {host}, because everybody who reaches it is root."
            )
        self.product = product
        self.directory = directory.resolve()
        self.log = self.directory / "emulator.log"
        self.region = region
        self._host = host
        self._port = port
        self._enforce_iam = enforce_iam
        self.python = python or default_python(product)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The endpoint of all services, as `http://127.0.0.1:port`."""
        return f"http://{self._host}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The emulator's process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Returns when every service that petpark uses has answered a call.

        Raises `EmulatorMissing`, `PortInUse`, `DiskFull` or `EmulatorFailed`, and then leaves no process behind.
        """
        if self._process is not None:
            raise EmulatorError(f"This emulator already runs at {self.url}.")
        if not self.python.exists():
            raise EmulatorMissing(
                f"{self.product.name}'s environment is missing: no interpreter at {self.python}. Run "
                f"`{self.product.setup}`, or name another environment's interpreter in PETPARK_EMULATOR_PYTHON."
            )
        self._prepare_directory()
        with self._listening_socket() as listener:
            self._port = listener.getsockname()[1]
            self._process = self._spawn(listener)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the process group, if need be by force, and remove all it wrote but its log. May be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        # Its state is not needed any more, so it need not shut down cleanly, which takes seconds.
        _kill_group(process.pid)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        for folder in self._folders():
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def client(self, service: str) -> Any:
        """A boto3 client with the root user's credentials, timeouts and a small retry budget."""
        return self._client(service, read_timeout=30, attempts=3)

    def _client(self, service: str, *, read_timeout: float, attempts: int) -> Any:
        session = boto3.session.Session(
            aws_access_key_id=ROOT_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ROOT_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=self.region,
        )
        config = Config(
            connect_timeout=5,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=32,
            proxies={},
            inject_host_prefix=False,  # TestState's, for one: https://github.com/boto/botocore, `endpoint.hostPrefix`
        )
        create: Any = session.client  # typed by literal names, one overload a service; ours is a parameter
        return create(service, endpoint_url=self.url, config=config)

    def environment(self) -> dict[str, str]:
        """Variables that lead a child's AWS SDK to this emulator and nowhere else, without credentials."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_RETRY_MODE": "standard",
            "AWS_MAX_ATTEMPTS": "3",
        }

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the emulator wrote."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _folders(self) -> list[Path]:
        return [self.directory / name for name in ("home", "cache", "config", "state", "tmp")]

    def _prepare_directory(self) -> None:
        try:
            for folder in self._folders():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            free = shutil.disk_usage(self.directory).free
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            free = 0
        if free < SPACE_NEEDED:
            raise DiskFull(
                f"The emulator needs {SPACE_NEEDED >> 20} MiB at {self.directory}, and {free >> 20} MiB are free. "
                "Make space, or choose another directory."
            )

    def _listening_socket(self) -> socket.socket:
        """Bound here and inherited, so that no other process can take the port in between."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUse(
                f"Port {self._port} on {self._host} is in use. End the program that listens there, or choose another "
                "port with `--port` (`--port 0` takes a free one)."
            ) from error
        return listener

    def _spawn(self, listener: socket.socket) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [str(self.python), "-m", self.product.starter],
                cwd=self.directory,
                env=self._child_environment(listener.fileno()),
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,  # when it closes, the child knows that we have ended
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def _child_environment(self, socket_number: int) -> dict[str, str]:
        """Inherits nothing, so that no AWS profile or proxy of the user is in it."""
        folders = {folder.name: folder for folder in self._folders()}
        inherited = {
            name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH") if name in os.environ
        }
        place = EmulatorPaths(
            host=self._host, port=self._port, region=self.region, enforce_iam=self._enforce_iam, folders=folders
        )
        return {
            **inherited,
            "PYTHONPATH": str(PLUGIN),
            "PETPARK_EMULATOR_SOCKET": str(socket_number),
            "HOME": str(folders["home"]),
            "XDG_CACHE_HOME": str(folders["cache"]),
            "XDG_CONFIG_HOME": str(folders["config"]),
            "TMPDIR": str(folders["tmp"]),
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.product.settings(place),
        }

    def _wait_until_it_answers(self) -> None:
        """The socket listens from the first moment, so that each check is one call that waits for its answer."""
        deadline = time.monotonic() + START_SECONDS
        for service, operation, arguments in CHECKS:
            left = max(0.1, deadline - time.monotonic())
            try:
                getattr(self._client(service, read_timeout=left, attempts=1), operation)(**arguments)
            except (BotoCoreError, ClientError) as error:
                raise EmulatorFailed(
                    f"{self.product.name} did not start: {service}.{operation} failed or did not answer within "
                    f"{START_SECONDS:.0f} s ({error}). The end of {self.log}:\n{self.log_tail()}"
                ) from error


def default_python(product: Product, root: Path = REPOSITORY) -> Path:
    """The interpreter that runs the emulator: `$PETPARK_EMULATOR_PYTHON`, else the one that its set-up builds."""
    return Path(os.environ.get("PETPARK_EMULATOR_PYTHON") or root / product.environment / "bin" / "python")


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
