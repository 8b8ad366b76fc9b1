"""The Pulumi CLI and its aws plugin from a publisher on loopback; the program is a script that records."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from petpark.downloads import pulumi
from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, PublisherUnreachable
from petpark.downloads.fetch import Timeouts
from petpark.downloads.pulumi import MIRROR, Fetched, cli_file, install, plugin_file
from petpark.errors import InstallFailed, PulumiFailed
from petpark.targets import pulumi_cli
from tests.loopback_publisher import Publisher, proxy, publisher

CLI = version("pulumi")
PLUGIN = version("pulumi-aws")
SCRIPT = f"""#!/bin/sh
case " $* " in *" version "*) echo v{CLI}; exit; esac
mkdir -p "$PULUMI_HOME"
echo "$@" >> "$PULUMI_HOME.calls"
gzip -t "$7" || exit 255
mkdir -p "$PULUMI_HOME/plugins/resource-aws-v{PLUGIN}"
"""


def archive(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.mode, info.size = 0o755, len(text.encode())
            made.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


@dataclass
class Site:
    """The loopback publisher, and the folder that is installed into."""

    server: Publisher
    tools: Path

    @property
    def environment(self) -> dict[str, str]:
        return {MIRROR: self.server.url}

    @property
    def cli(self) -> str:
        return f"/releases/sdk/{cli_file(self.environment).name}"

    @property
    def plugin(self) -> str:
        return f"/releases/plugins/{plugin_file(self.environment).name}"

    @property
    def program(self) -> Path:
        return self.tools / "pulumi" / CLI / "bin" / "pulumi"

    def publish(self, cli: bytes, *, stated: bytes | None = None) -> None:
        """Serve `cli`, and a list of checksums that states the hash of `stated`."""
        self.server.files[self.cli] = cli
        rows = [("0" * 64, "pulumi-v0.0.0-windows-x64.zip")]
        rows.append((hashlib.sha256(cli if stated is None else stated).hexdigest(), Path(self.cli).name))
        listing = "".join(f"{digest}  {name}\n" for digest, name in rows)
        self.server.files[f"/releases/sdk/pulumi-{CLI}-checksums.txt"] = listing.encode()

    def install(self) -> list[Fetched]:
        """Install here, without pauses."""
        return install(
            lambda _name: contextlib.nullcontext(lambda _done, _total: None),
            waiting=lambda: None,
            tools=self.tools,
            environment=self.environment,
            timeouts=Timeouts(pause=lambda _seconds: None),
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with publisher() as server:
        made = Site(server, tmp_path / ".tools")
        made.publish(archive({"pulumi/pulumi": SCRIPT, "pulumi/pulumi-language-python": ""}))
        server.files[made.plugin] = archive({"pulumi-resource-aws": "plugin"})
        yield made


@pytest.mark.slow  # starts a process
def test_cli_and_plugin_are_installed_and_told_with_their_hashes(site: Site) -> None:
    cli, plugin = site.install()
    assert (pulumi.home(site.tools) / "plugins" / f"resource-aws-v{PLUGIN}").is_dir()
    assert cli.sha256 == hashlib.sha256(site.server.files[site.cli]).hexdigest()
    assert plugin.sha256 == hashlib.sha256(site.server.files[site.plugin]).hexdigest()
    assert (cli.trust, plugin.trust) == (
        "the publisher's list of checksums",
        "nothing but TLS, as this is the first download",
    )
    assert site.program.is_file()
    assert (site.program.parent / "pulumi-language-python").is_file()
    (call,) = (site.tools / "pulumi" / "home.calls").read_text().splitlines()
    assert call.startswith(f"plugin install resource aws {PLUGIN} --file {site.tools}")
    assert json.loads((site.tools / "pins.json").read_text()) == {file.name: file.sha256 for file in (cli, plugin)}
    assert [path.suffix for path in (site.tools / "downloads").iterdir()] == [".lock"]


@pytest.mark.slow  # starts a process
def test_what_is_there_is_not_fetched_again(site: Site) -> None:
    site.install()
    asked = len(site.server.asked)
    assert site.install() == []
    assert len(site.server.asked) == asked


def test_an_archive_that_is_not_the_one_in_the_list_is_refused(site: Site) -> None:
    site.publish(archive({"pulumi/pulumi": SCRIPT}), stated=b"another")
    with pytest.raises(ArchiveRefused, match="not a pinned one"):
        site.install()
    assert not (site.tools / "pulumi").exists()
    assert not (site.tools / "pins.json").exists()


@pytest.mark.parametrize("listing", [b"", b"<html>", f"{'0' * 64}  pulumi-v{CLI}-plan9-mips.tar.gz\n".encode()])
def test_a_list_that_does_not_name_the_archive_is_told(site: Site, listing: bytes) -> None:
    site.server.files[f"/releases/sdk/pulumi-{CLI}-checksums.txt"] = listing
    with pytest.raises(ArchiveMissing, match="does not name"):
        site.install()
    assert not site.program.exists()


@pytest.mark.slow  # starts a process
def test_a_second_hash_for_the_same_file_is_refused_even_if_the_publisher_states_it(site: Site, tmp_path: Path) -> None:
    site.install()
    site.program.rename(tmp_path / "gone")
    site.publish(archive({"pulumi/pulumi": SCRIPT + "# changed\n"}))
    with pytest.raises(ArchiveRefused, match="on record") as refused:
        site.install()
    assert "pins.json" in refused.value.next_step
    assert not site.program.exists()


@pytest.mark.slow  # starts a process
def test_a_second_hash_of_the_plugin_is_refused(site: Site) -> None:
    site.install()
    (site.tools / "pulumi" / "home" / "plugins" / f"resource-aws-v{PLUGIN}").rmdir()
    site.server.files[site.plugin] = archive({"pulumi-resource-aws": "another"})
    with pytest.raises(ArchiveRefused):
        site.install()


@pytest.mark.slow  # starts a process
def test_a_first_download_that_could_not_be_installed_is_not_on_record(site: Site) -> None:
    good = site.server.files[site.plugin]
    site.server.files[site.plugin] = b"no gzip"
    with pytest.raises(InstallFailed, match="plugin install"):
        site.install()
    site.server.files[site.plugin] = good
    (plugin,) = site.install()
    assert plugin.sha256 == hashlib.sha256(good).hexdigest()


@pytest.mark.slow  # starts a process
def test_a_hash_in_the_repository_needs_no_list_and_decides(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = {Path(site.cli).name: hashlib.sha256(site.server.files[site.cli]).hexdigest()}
    monkeypatch.setattr(pulumi, "pulumi_pins", lambda: pins)
    del site.server.files[f"/releases/sdk/pulumi-{CLI}-checksums.txt"]
    cli, _ = site.install()
    assert cli.trust == "the hash in the repository"
    site.program.unlink()
    pins[Path(site.cli).name] = "0" * 64
    with pytest.raises(ArchiveRefused):
        site.install()


@pytest.mark.slow  # starts a process
@pytest.mark.parametrize(
    "files", [{"pulumi/other": ""}, {"pulumi/pulumi": "#!/bin/sh\necho v0.0.1\n"}, {"pulumi/pulumi": "\x7fELF"}]
)
def test_an_archive_without_this_version_of_the_cli_is_refused(site: Site, files: dict[str, str]) -> None:
    site.publish(archive(files))
    with pytest.raises(ArchiveRefused, match="archive"):
        site.install()
    assert not site.program.exists()


def test_without_a_hash_a_mirror_needs_tls(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(site.server.url) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        with pytest.raises(ArchiveRefused, match="without TLS"):
            install(
                lambda _name: contextlib.nullcontext(lambda _done, _total: None),
                waiting=lambda: None,
                tools=site.tools,
                environment={MIRROR: "http://mirror.test"},
            )
        assert between.asked == []


def test_nobody_there_is_told(site: Site) -> None:
    site.server.url = "http://127.0.0.1:9"
    with pytest.raises(PublisherUnreachable, match="cannot be reached"):
        site.install()


def test_the_publisher_is_asked_how_large_a_file_is(site: Site) -> None:
    assert pulumi.size(cli_file(site.environment)) == len(site.server.files[site.cli])
    assert pulumi.size(cli_file({MIRROR: "http://127.0.0.1:9"})) is None


@pytest.mark.slow  # starts a process
def test_a_program_that_was_changed_after_its_download_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install()
    program = site.program
    monkeypatch.setattr(pulumi_cli, "TOOLS", site.tools)
    monkeypatch.setattr(pulumi, "problem", functools.partial(pulumi.problem, tools=site.tools))
    assert pulumi_cli.version(program) == CLI
    times = program.stat()
    program.write_text(program.read_text().replace("mkdir", "mkdri"))
    os.utime(program, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(PulumiFailed, match="not the one that was downloaded"):
        pulumi_cli.version(program)


@pytest.mark.slow  # starts a process
def test_a_plugin_that_was_changed_after_its_download_is_not_used(site: Site) -> None:
    site.install()
    program = site.program
    binary = pulumi.home(site.tools) / "plugins" / f"resource-aws-v{PLUGIN}" / "pulumi-resource-aws"
    binary.write_text("one")
    assert pulumi.problem(program, site.tools) == ""
    binary.write_text("two")
    assert "pulumi-resource-aws is not the one that was downloaded" in pulumi.problem(program, site.tools)
