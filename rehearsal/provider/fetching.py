"""The pinned AWS provider, downloaded from its publisher or a mirror into `.tools/`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urljoin

from petpark.downloads import TOOLS
from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, PublisherUnreachable
from petpark.downloads.fetch import Timeouts, fetch, unwritable
from petpark.downloads.install import Free, download, downloads, free_space, locked
from petpark.downloads.install import place as place_archive
from petpark.downloads.pins import Archive, ProviderPins, machine, provider_pins
from petpark.downloads.progress import Report
from petpark.downloads.unchanged import record
from petpark.downloads.unpack import dirhash
from petpark.errors import InstallFailed
from rehearsal.provider.integrity import changed
from rehearsal.provider.mirrors import network_mirrors, newest_in, packed, place

PUBLISHER = "https://releases.hashicorp.com"
MIRROR = "PETPARK_PROVIDER_MIRROR"
"""Environment variable: a server with the publisher's paths to use instead."""

_INDEX_LIMIT = 1_000_000


def archive_name(pins: ProviderPins) -> str:
    """The publisher's name of the archive for this machine; raises `PlatformUnsupported`."""
    return f"terraform-provider-aws_{pins.version}_{'_'.join(machine())}.zip"


def source(pins: ProviderPins, environment: Mapping[str, str] = os.environ) -> str:
    """Where the archive comes from, unless a network mirror of Terraform's configuration has it."""
    base = (environment.get(MIRROR) or PUBLISHER).rstrip("/")
    return f"{base}/terraform-provider-aws/{pins.version}/{archive_name(pins)}"


def fetch_provider(
    report: Report,
    *,
    waiting: Callable[[], None],
    tools: Path = TOOLS,
    environment: Mapping[str, str] = os.environ,
    pins: ProviderPins | None = None,
    timeouts: Timeouts | None = None,
    free: Free = free_space,
) -> Path:
    """Fetch the AWS provider for this machine into `tools`, and return its binary.

    `waiting` is called if another process fetches it now; then that one's is used. Raises an `InstallFailed`, whose
    next step names the ways out.
    """
    pins = pins or provider_pins()
    platform = "_".join(machine())
    name = archive_name(pins)
    with locked(name, tools, waiting=waiting):
        if (done := newest_in(tools)) is not None:
            if not changed(done, tools=tools):
                return done
            try:
                shutil.rmtree(done.parent)
            except OSError as error:
                raise unwritable(f"{done} could not be replaced", error, tools) from error
        if (mirrored := packed(name, environment)) is not None:
            shutil.copyfile(mirrored, downloads(tools) / name)  # `download` uses it if its hash is right
        try:
            urls = (*_mirrored(platform, pins, tools, environment, timeouts), source(pins, environment))
            archive = Archive(name=name, urls=urls, sha256=pins.sha256, packed=pins.packed, unpacked=pins.unpacked)
            file, _ = download(archive, tools, report=report, timeouts=timeouts, free=free)
        except (PublisherUnreachable, ArchiveMissing) as error:
            why = f"No AWS provider is on this machine, and {error.message}"
            raise type(error)(why, next_step=_ways_out(pins, tools)) from error
        place_archive(
            file,
            place(tools, pins.version, platform),
            unpacked=pins.unpacked,
            arrange=lambda folder: _checked(folder, pins, platform),
        )
        binary = newest_in(tools)
        if binary is None:
            raise InstallFailed(f"{name} was unpacked, but its binary no longer exists.", next_step="Run it again.")
        record(binary)
    return binary


def _checked(folder: Path, pins: ProviderPins, platform: str) -> Path:
    """`folder` itself, if it has a provider that starts and, where the hash is known, exactly the pinned content."""
    binaries = list(folder.glob(f"terraform-provider-aws_v{pins.version}*"))
    if len(binaries) != 1 or not binaries[0].is_file():
        raise _refused(pins, f"contains {len(binaries)} programs named terraform-provider-aws_v{pins.version}")
    if (wanted := pins.h1.get(platform)) is not None and (found := dirhash(folder)) != wanted:
        raise _refused(pins, f"unpacks to {found}, not to the pinned {wanted}")
    (binary,) = binaries
    binary.chmod(0o755)
    _start(binary, pins)
    return folder


def _start(binary: Path, pins: ProviderPins) -> None:
    """The list of hashes is for all platforms, so only a start shows whether this binary is for this one."""
    from rehearsal.engine.errors import ProviderFailed
    from rehearsal.engine.provider.client import Plugin

    with tempfile.TemporaryDirectory(prefix="petpark-") as scratch:
        plugin = Plugin(binary, scratch=Path(scratch))
        try:
            plugin.wait()
        except ProviderFailed as error:
            raise _refused(pins, f"contains a program that does not start here: {error}") from error
        finally:
            plugin.close()


def _mirrored(
    platform: str, pins: ProviderPins, tools: Path, environment: Mapping[str, str], timeouts: Timeouts | None
) -> list[str]:
    """Addresses of the archive in Terraform's network mirrors; mirrors without an answer are skipped.

    https://developer.hashicorp.com/terraform/internals/provider-network-mirror-protocol
    """
    if environment.get(MIRROR):
        return []
    found: list[str] = []
    for number, mirror in enumerate(network_mirrors(environment)):
        index = urljoin(mirror, f"registry.terraform.io/hashicorp/aws/{pins.version}.json")
        answer = downloads(tools) / f"mirror-{number}.json"
        try:
            fetch(index, answer, accepted=None, limit=_INDEX_LIMIT, report=lambda _d, _t: None, timeouts=timeouts)
            found.append(urljoin(index, json.loads(answer.read_bytes())["archives"][platform]["url"]))
        except (InstallFailed, ValueError, KeyError, TypeError):
            continue
        finally:
            answer.unlink(missing_ok=True)
    return found


def _ways_out(pins: ProviderPins, tools: Path) -> str:
    return (
        f"download {PUBLISHER}/terraform-provider-aws/{pins.version}/{archive_name(pins)} by hand into "
        f"{downloads(tools)}, or allow access to it (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and {MIRROR} are respected), "
        "or install Pulumi and rehearse with `make demo ENGINE=pulumi`"
    )


def _refused(pins: ProviderPins, why: str) -> ArchiveRefused:
    return ArchiveRefused(
        f"{archive_name(pins)} {why}; nothing was installed.",
        next_step=f"Fetch it from {PUBLISHER}, not from a mirror.",
    )
