"""The AWS provider from a publisher on loopback: a whole provider that starts, or none."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from petpark.downloads import unchanged
from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, FolderNotWritable, NoSpace, PublisherUnreachable
from petpark.downloads.pins import machine
from rehearsal.engine import ProviderChanged, find_provider
from rehearsal.provider import integrity
from tests.loopback_publisher import Answer, publisher, zipped
from tests.rehearsal.provider.conftest import BINARY, GOOD, SCRIPT, VERSION, Shop

PLATFORM = "_".join(machine())


def until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Returns once `happened`, which `process` must live to see."""
    while not happened():
        assert process.poll() is None
        time.sleep(0.01)


def test_the_provider_is_installed_where_terraform_would_look_for_it(shop: Shop) -> None:
    found = shop.fetch()
    assert found == shop.tools / "registry.terraform.io" / "hashicorp" / "aws" / VERSION / PLATFORM / BINARY
    assert found.read_bytes() == SCRIPT
    assert os.access(found, os.X_OK)
    assert (found.parent / "LICENSE.txt").exists()
    assert shop.left == []


def test_what_is_there_is_not_fetched_again(shop: Shop) -> None:
    assert shop.fetch() == shop.fetch()
    assert len(shop.server.asked) == 1


def test_an_archive_that_is_not_pinned_is_refused_and_leaves_nothing(shop: Shop) -> None:
    shop.server.files[shop.path] = zipped(GOOD | {"LICENSE.txt": b"another"})
    with pytest.raises(ArchiveRefused, match="not a pinned one"):
        shop.fetch()
    assert (shop.usable, shop.left) == (None, [])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (zipped({"LICENSE.txt": b""}), "contains 0 programs"),
        (zipped({BINARY: SCRIPT, f"terraform-provider-aws_v{VERSION}": SCRIPT}), "contains 2 programs"),
        (zipped({f"{BINARY}/tool": SCRIPT}), "contains 1 programs"),
        (zipped({BINARY: SCRIPT, "../out": b""}), "contains the name"),
        (zipped({BINARY: b"#!/bin/sh\nexit 1\n"}), "does not start here"),
        (zipped({BINARY: b"\x7fELF of another processor"}), "does not start here"),
        (zipped({BINARY: b"#!/bin/sh\necho hello\n"}), "does not start here"),
        (b"no zip at all", "damaged"),
    ],
)
def test_a_pinned_archive_without_a_provider_for_this_machine_is_refused(shop: Shop, content: bytes, why: str) -> None:
    """The list of hashes holds other platforms' archives, and no list is better than what is behind it."""
    shop.sell(content)
    with pytest.raises(ArchiveRefused, match=why):
        shop.fetch()
    assert (shop.usable, shop.left) == (None, [])
    assert not (shop.tools.parent / "out").exists()


def test_an_archive_that_unpacks_to_something_else_than_is_pinned_is_refused(shop: Shop) -> None:
    shop.sell(zipped(GOOD | {"extra": b""}), h1="h1:edXOJWE4ORX8Fm+dpVpICzMZJat4AX0VRCAy/xkcOc0=")
    with pytest.raises(ArchiveRefused, match="not to the pinned h1:edXO"):
        shop.fetch()
    assert (shop.usable, shop.left) == (None, [])


def test_what_the_publisher_does_not_have_is_told_with_the_ways_out(shop: Shop) -> None:
    shop.server.files.clear()
    with pytest.raises(ArchiveMissing) as missing:
        shop.fetch()
    for way in ("by hand", "releases.hashicorp.com", "HTTPS_PROXY", "make demo ENGINE=pulumi"):
        assert way in missing.value.next_step


def test_an_archive_that_was_put_there_by_hand_needs_no_network(shop: Shop) -> None:
    folder = shop.tools / "downloads"
    folder.mkdir(parents=True)
    (folder / Path(shop.path).name).write_bytes(shop.server.files.pop(shop.path))
    assert shop.fetch() == shop.usable
    assert shop.server.asked == []


@pytest.mark.parametrize("right", [True, False])
def test_a_mirror_of_archives_on_this_machine_needs_no_network_if_its_archive_is_the_right_one(
    shop: Shop, right: bool
) -> None:
    mirror = shop.tools.parent / ".terraform.d" / "plugins" / "registry.terraform.io" / "hashicorp" / "aws"
    mirror.mkdir(parents=True)
    content = shop.server.files[shop.path]
    (mirror / Path(shop.path).name).write_bytes(content if right else content[:-1])
    assert shop.fetch() == shop.usable
    assert len(shop.server.asked) == (0 if right else 1)


def test_too_little_space_is_told_before_anything_is_fetched(shop: Shop) -> None:
    needed = shop.pins.packed + shop.pins.unpacked
    with pytest.raises(NoSpace, match=r"needs \d+ MB .* 0 MB are free"):
        shop.fetch(free=lambda _folder: needed)
    assert shop.server.asked == []


@pytest.mark.parametrize(
    "broken", ["petpark.downloads.unpack.shutil.copyfileobj", "petpark.downloads.install.os.fsync"]
)
def test_a_disk_that_is_full_while_unpacking_leaves_the_archive_and_nothing_usable(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    folder = shop.tools / "downloads"
    folder.mkdir(parents=True)
    (folder / Path(shop.path).name).write_bytes(shop.server.files[shop.path])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(broken, full)
        with pytest.raises(NoSpace, match="could not be unpacked"):
            shop.fetch()
    assert (shop.usable, shop.left) == (None, [Path(shop.path).name])
    assert shop.fetch() == shop.usable
    assert shop.server.asked == []


def test_a_folder_that_cannot_be_written_is_told(shop: Shop) -> None:
    shop.tools.write_text("a file is where the folder should be")
    with pytest.raises(FolderNotWritable, match="cannot be written"):
        shop.fetch()


def test_an_incomplete_folder_of_an_earlier_attempt_by_hand_is_replaced(shop: Shop) -> None:
    place = shop.tools / "registry.terraform.io" / "hashicorp" / "aws" / VERSION / PLATFORM
    place.mkdir(parents=True)
    (place / BINARY).write_bytes(b"not executable")
    assert shop.fetch().read_bytes() == SCRIPT


def test_two_at_once_fetch_it_once(shop: Shop) -> None:
    release = threading.Event()
    shop.server.answers = [Answer(cut=10, hold=release)]
    first = shop.fetch_elsewhere()
    shop.server.wait_for(1)
    second = shop.fetch_elsewhere()
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting\n"
    release.set()
    for process in (first, second):
        said, failed = process.communicate(timeout=60)
        assert (process.returncode, said.strip()) == (0, str(shop.usable)), failed
    assert len(shop.server.asked) == 1


def test_ended_while_downloading_nothing_is_usable_and_the_next_run_goes_on(shop: Shop) -> None:
    release = threading.Event()
    content = zipped(GOOD | {"LICENSE.txt": os.urandom(400_000)})
    shop.sell(content)
    shop.pins = replace(shop.pins, packed=len(content), unpacked=len(content))
    shop.server.answers = [Answer(cut=len(content) // 2, hold=release)]
    process = shop.fetch_elsewhere()
    shop.server.wait_for(1)
    part = shop.tools / "downloads" / f"{Path(shop.path).name}.part"
    until(lambda: part.exists() and part.stat().st_size > 0, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    release.set()
    assert shop.usable is None
    assert shop.fetch() == shop.usable
    assert shop.server.asked[1][1].startswith("bytes=")


def test_ended_while_verifying_nothing_is_usable_and_the_next_run_tidies(shop: Shop, tmp_path: Path) -> None:
    began = tmp_path / "began"
    script = f"#!/bin/sh\n[ -e '{began}' ] || {{ touch '{began}'; exec sleep 600; }}\n".encode()
    shop.sell(zipped({BINARY: script + SCRIPT.partition(b"\n")[2]}))
    process = shop.fetch_elsewhere()
    until(began.exists, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert shop.usable is None
    assert shop.fetch() == shop.usable
    assert shop.left == []


@pytest.mark.parametrize("absolute", [True, False])
def test_a_network_mirror_of_terraforms_configuration_goes_before_the_publisher(shop: Shop, absolute: bool) -> None:
    base = "/mirror/registry.terraform.io/hashicorp/aws"
    name = Path(shop.path).name
    shop.server.files[f"{base}/{name}"] = shop.server.files.pop(shop.path)
    url = f"{shop.server.url}{base}/{name}" if absolute else name
    index = {"archives": {PLATFORM: {"url": url, "hashes": ["h1:whatever it says"]}}}
    shop.server.files[f"{base}/{VERSION}.json"] = json.dumps(index).encode()
    (shop.tools.parent / ".terraformrc").write_text(
        f'provider_installation {{ network_mirror {{ url = "{shop.server.url}/mirror/" }} }}'
    )
    assert shop.fetch(PETPARK_PROVIDER_MIRROR="") == shop.usable


@pytest.mark.parametrize("index", [None, b"no JSON", b"[]", b'{"archives": {}}', b'{"archives": {"x": {}}}'])
def test_a_network_mirror_that_does_not_have_it_is_passed_over(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, index: bytes | None
) -> None:
    monkeypatch.setattr("rehearsal.provider.fetching.PUBLISHER", shop.server.url)
    with publisher() as mirror:
        if index is not None:
            mirror.files[f"/registry.terraform.io/hashicorp/aws/{VERSION}.json"] = index
        (shop.tools.parent / ".terraformrc").write_text(
            f'provider_installation {{ network_mirror {{ url = "{mirror.url}" }} }}'
        )
        assert shop.fetch(PETPARK_PROVIDER_MIRROR="") == shop.usable
        assert len(mirror.asked) == 1


def test_a_mirror_that_lies_is_no_better_than_a_publisher_that_does(shop: Shop) -> None:
    liar = zipped(GOOD | {"LICENSE.txt": b"changed"})
    shop.server.files[shop.path] = liar
    assert hashlib.sha256(liar).hexdigest() not in shop.pins.sha256
    with pytest.raises(ArchiveRefused):
        shop.fetch()
    assert shop.usable is None


def test_nobody_there_is_one_sentence_with_the_ways_out(shop: Shop) -> None:
    with pytest.raises(PublisherUnreachable) as unreachable:
        shop.fetch(PETPARK_PROVIDER_MIRROR="http://127.0.0.1:9")
    assert unreachable.value.message.startswith("No AWS provider is on this machine, and 127.0.0.1 cannot be reached")
    assert str(shop.tools / "downloads") in unreachable.value.next_step


def spoiled(binary: Path) -> None:
    """Other bytes, of the same number, with the same modification time."""
    before = binary.stat()
    binary.write_bytes(SCRIPT.replace(b"exec", b"EXEC"))
    os.utime(binary, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_provider_that_changed_since_it_was_verified_is_refused_and_fetched_again(shop: Shop) -> None:
    binary = shop.fetch()
    spoiled(binary)
    environment = {"HOME": str(shop.tools.parent)}
    with pytest.raises(ProviderChanged) as changed:
        find_provider(environment, root=shop.tools.parent, tools=shop.tools)
    assert str(binary) in str(changed.value)
    assert hashlib.sha256(SCRIPT).hexdigest() in str(changed.value)
    assert str(changed.value).endswith("get it again: make provider.")
    assert shop.fetch() == binary
    assert find_provider(environment, root=shop.tools.parent, tools=shop.tools).read_bytes() == SCRIPT
    assert len(shop.server.asked) == 2


def test_an_unchanged_provider_is_hashed_once_more_only_where_its_times_differ(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = shop.fetch()
    hashed: list[Path] = []
    digest = unchanged._digest

    def counted(program: Path) -> str:
        hashed.append(program)
        return digest(program)

    monkeypatch.setattr(unchanged, "_digest", counted)
    for _ in range(2):
        assert integrity.changed(binary, tools=shop.tools) == ""
    assert hashed == []
    os.utime(binary)
    for _ in range(2):
        assert integrity.changed(binary, tools=shop.tools) == ""
    assert hashed == [binary]


@pytest.mark.parametrize("known", [None, b"", b"[]", b'{"name": "another"}'])
def test_a_provider_without_a_record_is_held_against_the_pinned_hash(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, known: bytes | None
) -> None:
    binary = shop.fetch()
    record = binary.parent.with_name(f"{PLATFORM}.json")

    def forget() -> None:
        record.unlink()
        if known is not None:
            record.write_bytes(known)

    monkeypatch.setattr("petpark.downloads.pins.provider_pins", lambda: shop.pins)
    forget()
    assert integrity.changed(binary, tools=shop.tools) == ""
    assert json.loads(record.read_bytes())["sha256"] == hashlib.sha256(SCRIPT).hexdigest()
    forget()
    spoiled(binary)
    assert shop.pins.h1[PLATFORM] in integrity.changed(binary, tools=shop.tools)


def test_a_provider_that_is_not_from_set_up_is_its_owners_business(shop: Shop) -> None:
    binary = shop.fetch()
    spoiled(binary)
    assert integrity.changed(binary, tools=shop.tools / "elsewhere") == ""
