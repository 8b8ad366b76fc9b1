"""The Pulumi CLI and its aws plugin, in the versions of the installed SDK, from get.pulumi.com into `.tools/`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from petpark.downloads import TOOLS, unchanged
from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, PublisherUnreachable
from petpark.downloads.fetch import Timeouts, fetch, open_client
from petpark.downloads.install import download, downloads, locked, place
from petpark.downloads.pins import Archive, changed, first_use, machine, pulumi_pins, record
from petpark.downloads.progress import Report
from petpark.errors import InstallFailed

PUBLISHER = "https://get.pulumi.com"
MIRROR = "PETPARK_PULUMI_MIRROR"
"""Environment variable: a server with the publisher's paths to use instead; with TLS, unless it is on this machine."""

_CLI_SIZES, _PLUGIN_SIZES = (150_000_000, 500_000_000), (250_000_000, 1_000_000_000)
"""(packed, unpacked), in bytes: rounded up generously, for the check of disk space; `size` requests the real size."""

_WAYS_OUT = (
    f"Allow access to get.pulumi.com (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and {MIRROR} are respected), or install it "
    "by hand (https://www.pulumi.com/docs/install/); a rehearsal can do without it: petpark rehearse --engine embedded"
)
_CHECKSUMS_LIMIT = 1_000_000
_PLUGIN_BINARY = "pulumi-resource-aws"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

type Showing = Callable[[str], AbstractContextManager[Report]]
"""Opens a progress display for the download of the named file."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of the publisher's; `checksums` is the address of the list next to it, empty where there is none."""

    name: str
    url: str
    checksums: str
    sizes: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What was downloaded, and `trust`: what its hash was compared with."""

    name: str
    sha256: str
    trust: str


def cli_file(environment: Mapping[str, str] = os.environ) -> File:
    """The archive of the CLI that fits the installed SDK."""
    system, processor = machine()
    release = version("pulumi")
    base = f"{_base(environment)}/releases/sdk"
    name = f"pulumi-v{release}-{system}-{'x64' if processor == 'amd64' else processor}.tar.gz"
    checksums = f"{base}/pulumi-{release}-checksums.txt"
    return File(name=name, url=f"{base}/{name}", checksums=checksums, sizes=_CLI_SIZES)


def plugin_file(environment: Mapping[str, str] = os.environ) -> File:
    """The archive of the aws plugin that fits the installed SDK; the publisher has no list of checksums next to it."""
    name = f"pulumi-resource-aws-v{version('pulumi-aws')}-{'-'.join(machine())}.tar.gz"
    url = f"{_base(environment)}/releases/plugins/{name}"
    return File(name=name, url=url, checksums="", sizes=_PLUGIN_SIZES)


def home(tools: Path = TOOLS) -> Path:
    """The PULUMI_HOME with the downloaded plugins; credentials of `pulumi login` are not in it."""
    return tools / "pulumi" / "home"


def size(file: File) -> int | None:
    """The size of `file` in bytes, as the publisher reports it; None without an answer within a few seconds."""
    try:
        with open_client(Timeouts(connect=2.0, read=3.0)) as client:
            length = client.head(file.url).raise_for_status().headers.get("content-length", "")
    except (httpx.HTTPError, httpx.InvalidURL, PublisherUnreachable):
        return None
    return int(length) if length.isdigit() else None


def install(
    showing: Showing,
    *,
    waiting: Callable[[], None],
    tools: Path = TOOLS,
    environment: Mapping[str, str] = os.environ,
    timeouts: Timeouts | None = None,
) -> list[Fetched]:
    """Download the CLI and the aws plugin into `tools` unless they are there; raises an `InstallFailed`.

    The CLI becomes `tools/pulumi/VERSION/bin/pulumi`. It installs the plugin itself, into `home()`, so that no
    PULUMI_HOME of the caller's changes.
    """
    fetched: list[Fetched] = []
    with locked("pulumi", tools, waiting=waiting):
        destination = tools / "pulumi" / version("pulumi")
        program = destination / "bin" / "pulumi"
        if not program.is_file():
            archive, cli = _verified(cli_file(environment), showing, tools, environment, timeouts)
            place(archive, destination, unpacked=_CLI_SIZES[1], arrange=_arrange)
            unchanged.record(program)
            record(cli.name, cli.sha256, tools)
            fetched.append(cli)
        if not _plugin(tools).is_dir():
            archive, plugin = _verified(plugin_file(environment), showing, tools, environment, timeouts)
            try:
                _install_plugin(program, archive, tools)
            finally:
                archive.unlink()
            if (binary := _plugin(tools) / _PLUGIN_BINARY).is_file():
                unchanged.record(binary)
            record(plugin.name, plugin.sha256, tools)
            fetched.append(plugin)
    return fetched


def problem(program: Path, tools: Path = TOOLS) -> str:
    """Why `program`, or the plugin that it runs, is not what was installed in `tools`; empty if it is.

    Programs elsewhere are their owner's business. Those that an earlier petpark installed are recorded as they are.
    """
    if not program.is_relative_to(tools):
        return ""
    for each in (program, _plugin(tools) / _PLUGIN_BINARY):
        if each.is_file() and (why := unchanged.problem(each, verified=lambda: "")):
            return f"{each} is not the one that was downloaded: {why}"
    return ""


def _verified(
    file: File, showing: Showing, tools: Path, environment: Mapping[str, str], timeouts: Timeouts | None
) -> tuple[Path, Fetched]:
    """Download `file`; its hash must be the repository's, else the publisher's and that of the first download."""
    pinned, recorded = pulumi_pins().get(file.name), first_use(file.name, tools)
    if pinned is None:
        _require_tls(file, environment)
    with _ways_out():
        stated = _stated(file, tools, timeouts) if pinned is None and file.checksums else None
    if recorded is not None and (other := pinned or stated) is not None and other != recorded:
        raise changed(file.name, recorded, other)
    known = pinned or stated or recorded
    archive = Archive(
        name=file.name,
        urls=(file.url,),
        sha256=None if known is None else frozenset({known}),
        packed=file.sizes[0],
        unpacked=file.sizes[1],
    )
    with showing(file.name) as report, _ways_out():
        path, digest = download(archive, tools, report=report, timeouts=timeouts)
    if pinned is not None:
        trust = "the hash in the repository"
    elif stated is not None:
        trust = "the publisher's list of checksums"
    else:
        trust = (
            "nothing but TLS, as this is the first download" if recorded is None else "the hash of the first download"
        )
    return path, Fetched(name=file.name, sha256=digest, trust=trust)


@contextmanager
def _ways_out() -> Generator[None]:
    try:
        yield
    except (PublisherUnreachable, ArchiveMissing) as error:
        why = f"The Pulumi CLI cannot be installed: {error.message}"
        raise type(error)(why, next_step=_WAYS_OUT) from error


def _stated(file: File, tools: Path, timeouts: Timeouts | None) -> str:
    """The hash that the publisher's list states for `file`."""
    listing = downloads(tools) / "pulumi-checksums.txt"
    listing.unlink(missing_ok=True)
    fetch(file.checksums, listing, accepted=None, limit=_CHECKSUMS_LIMIT, report=lambda _d, _t: None, timeouts=timeouts)
    rows = [line.split() for line in listing.read_text(encoding="utf-8", errors="replace").splitlines()]
    listing.unlink()
    hashes = {row[0].lower() for row in rows if len(row) == 2 and row[1].lstrip("*") == file.name}
    if len(hashes) != 1:
        raise ArchiveMissing(f"{file.checksums} does not name {file.name}.", next_step=_WAYS_OUT)
    return hashes.pop()


def _arrange(folder: Path) -> Path:
    """The publisher's archive has its programs in `pulumi/`; they are looked for in `bin/`."""
    program = folder / "pulumi" / "pulumi"
    if not program.is_file():
        raise ArchiveRefused("The archive does not contain pulumi/pulumi.", next_step="Fetch it from the publisher.")
    (folder / "pulumi").rename(folder / "bin")
    done = _run([str(folder / "bin" / "pulumi"), "version"], {}, seconds=60)
    if done.stdout.strip().removeprefix("v") != version("pulumi"):
        raise ArchiveRefused(
            f"The archive's program does not start as {version('pulumi')}: {(done.stderr or done.stdout).strip()}",
            next_step="Fetch it from the publisher.",
        )
    return folder


def _install_plugin(program: Path, archive: Path, tools: Path) -> None:
    """https://www.pulumi.com/docs/iac/cli/commands/pulumi_plugin_install/."""
    command = [str(program), "plugin", "install", "resource", "aws", version("pulumi-aws"), "--file", str(archive)]
    done = _run(command, {"PULUMI_HOME": str(home(tools))}, seconds=600)
    if done.returncode != 0 or not _plugin(tools).is_dir():
        raise InstallFailed(
            f"`{' '.join(['pulumi', *command[1:]])}` failed: {(done.stderr or done.stdout).strip()}.",
            next_step="Run it by hand to see more.",
        )


def _run(command: list[str], more: Mapping[str, str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true", **more}
    try:
        return subprocess.run(
            command,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _plugin(tools: Path) -> Path:
    return home(tools) / "plugins" / f"resource-aws-v{version('pulumi-aws')}"


def _base(environment: Mapping[str, str]) -> str:
    return (environment.get(MIRROR) or PUBLISHER).rstrip("/")


def _require_tls(file: File, environment: Mapping[str, str]) -> None:
    address = urlsplit(file.url)
    if address.scheme != "https" and address.hostname not in _LOOPBACK:
        raise ArchiveRefused(
            f"{file.name} has no hash in the repository yet, and {environment.get(MIRROR)} serves it without TLS.",
            next_step=f"Set {MIRROR} to an https address.",
        )
