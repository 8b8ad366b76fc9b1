"""What a request to the store costs this machine's processor: `python benchmarks/registry/clients.py`.

One entry of a channel (800 bytes) is read, and one that does not exist is requested, as an endpoint's poll does: by the
client that `S3Store` uses (botocore), by AWS's transfer library in C (`transfer_reads`), and by the reference: bare
HTTP on a connection that stays open, with an address that was signed before. The server (versitygw) runs on the same
machine and is not in the figures. Round by round in turn; processor time of all threads of this process.

A channel is read from its first entry on by both of ours, as a command on a new machine does: seconds on the clock and
of the processor, the parsing and checking of entries included.

From these figures follows what the client adds to an fsck of 10,000 versions and 100,000 entries (its requests are
counted by benchmarks/registry/upkeep.py), and to an endpoint, which sends three requests every 2 s and one every 15 s.
Ends with 3 where the 95 % interval of a median is wider than half of it: too noisy to say.
"""

import argparse
import http.client
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, Spread, median_interval
from benchmarks.support.registry.entries import MoveLog
from benchmarks.support.s3_server import VERSITYGW, Bucket, s3_server
from registry.channels.channel import Channel
from registry.errors import ObjectMissing
from registry.store.crt_transfer import crt_transfer
from registry.store.s3_store import S3Store

KEY, MISSING = "pets/channels/prod/00000001.json", "pets/channels/prod/00000002.json"
ENTRY_BYTES = 800
FSCK_REQUESTS = 120_364
POLLS_A_SECOND = 3 / 2 + 1 / 15
NOISE = 0.5
"""Most that the 95 % interval of a median may be wide, in parts of it."""

BOTOCORE, CRT, BARE = "S3Store, botocore", "S3Store, awscrt", "bare HTTP, signed before"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--entries", type=int, default=10_000, help="of the channel that is read (10,000)")
    parser.add_argument("--requests", type=int, default=200, help="of each kind, a round (200)")
    options = parser.parse_args()
    if not VERSITYGW.exists():
        print(f"{VERSITYGW} is missing: it is built by `make bench`, which needs Go", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(str(Machine.here()))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-") as name, s3_server(Path(name) / "buckets") as server:
        os.environ.update(server.environment())
        found = measure(server.bucket("clients"), rounds=options.rounds, requests=options.requests)
        channels = read_channel(server.bucket("channel"), entries=options.entries, rounds=3)
    table = Table(title="processor ms a request: median (95 %)", title_justify="left")
    for column in ("", "an entry", "none yet (404)"):
        table.add_column(column, no_wrap=True)
    for way, (there, missing) in found.items():
        table.add_row(way, str(there), str(missing))
    console.print(table)
    for way, (clock, processor) in channels.items():
        console.print(f"{options.entries:,} entries from nothing, {way}: {clock} s, of the processor {processor} s")
    console.print(
        "so, by arithmetic, the client's share of an fsck of 100,000 entries: "
        + ", ".join(f"{FSCK_REQUESTS * found[way][0].median / 1000:.0f} s ({way})" for way in (BOTOCORE, CRT))
        + f"; an endpoint's polls: {POLLS_A_SECOND * found[BOTOCORE][1].median / 10:.2f} % of a core"
    )
    if any(figure.high - figure.low > NOISE * figure.median for both in found.values() for figure in both):
        console.print(f"too noisy to say: an interval is wider than {NOISE:g} of its median")
        return 3
    return 0


def measure(bucket: Bucket, *, rounds: int, requests: int) -> dict[str, tuple[Spread, Spread]]:
    """Milliseconds of processor a request, for each way: of the entry that is there, of the one that is not."""
    client = bucket.client()
    client.put_object(Bucket=bucket.name, Key=KEY, Body=bytes(ENTRY_BYTES))
    transfer = crt_transfer(boto3.Session(), client)
    plain = S3Store(client, bucket.name)
    fast = S3Store(client, bucket.name, transfer=transfer, transfer_reads=True)
    ways = {
        BOTOCORE: (_store(plain, KEY), _store(plain, MISSING)),
        CRT: (_store(fast, KEY), _store(fast, MISSING)),
        BARE: (_bare(bucket, KEY, 200), _bare(bucket, MISSING, 404)),
    }
    spent: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in ways}
    for number in range(rounds + 1):  # the first connects and warms up
        for way, calls in ways.items():
            for place, call in enumerate(calls):
                began = time.process_time()
                for _ in range(requests):
                    call()
                if number:
                    spent[way][place].append((time.process_time() - began) / requests * 1000)
    return {way: (_interval(there), _interval(missing)) for way, (there, missing) in spent.items()}


def _interval(values: Sequence[float]) -> Spread:
    median, low, high = median_interval(values)
    return Spread(median=median, low=low, high=high, n=len(values))


def read_channel(bucket: Bucket, *, entries: int, rounds: int) -> dict[str, tuple[Spread, Spread]]:
    """Seconds on the clock and of the processor to read a channel from nothing, for both clients of ours."""
    MoveLog(bucket.folder, "pets", "prod").grow(entries)
    client = bucket.client()
    transfer = crt_transfer(boto3.Session(), client)
    ways = {
        BOTOCORE: S3Store(client, bucket.name),
        CRT: S3Store(client, bucket.name, transfer=transfer, transfer_reads=True),
    }
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, store in ways.items():
            began, used = time.perf_counter(), time.process_time()
            head = Channel(store, "pets", "prod").head()
            spent[way].append((time.perf_counter() - began, time.process_time() - used))
            assert head is not None
            assert head.number == entries
    return {
        way: (Spread.of([clock for clock, _ in each]), Spread.of([used for _, used in each]))
        for way, each in spent.items()
    }


def _store(store: S3Store, key: str) -> Callable[[], object]:
    def call() -> object:
        try:
            return store.get(key)
        except ObjectMissing:
            return None

    return call


def _bare(bucket: Bucket, key: str, status: int) -> Callable[[], object]:
    version_4 = boto3.client("s3", endpoint_url=bucket.url, config=Config(signature_version="s3v4"))
    address = urlsplit(version_4.generate_presigned_url("get_object", {"Bucket": bucket.name, "Key": key}))
    line = http.client.HTTPConnection(address.netloc, timeout=10)

    def call() -> object:
        line.request("GET", f"{address.path}?{address.query}")
        answer = line.getresponse()
        body = answer.read()
        assert answer.status == status
        return body

    return call


if __name__ == "__main__":
    sys.exit(main())
