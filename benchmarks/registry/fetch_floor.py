"""The minimum cost of a fetch of 45 MB, by its parts: `make bench`, or this file.

Round by round in turn, on a fast S3 server of this machine: SHA-256 of the file alone; AWS's transfer library in C that
writes the file itself; the same and the hash afterwards; petpark's `download`, which hashes while parts arrive; and
`s5cmd cp`, less its start (the same call with a file of one byte). Milliseconds of the processor, of this process or of
s5cmd's, and on the clock: medians and extremes. The server's are in neither.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType, create_default_s3_signing_config
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, Spread
from benchmarks.support.memory import processor_seconds
from benchmarks.support.registry.contestants import REFERENCES
from benchmarks.support.s3_server import REGION, VERSITYGW, Bucket, s3_server
from registry.store.crt_transfer import PART_BYTES
from registry.store.local_files import sha256_of

SIZE = 45 * 10**6
LARGE, SMALL = "large/file", "small/file"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--directory", type=Path, help="where the temporary folder with all objects is made")
    options = parser.parse_args()
    if missing := [tool for tool in (VERSITYGW, REFERENCES / "s5cmd") if not tool.exists()]:
        print("\n".join(f"{tool} is missing: `make bench` makes it" for tool in missing), file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(str(Machine.here()))
    with tempfile.TemporaryDirectory(prefix="petpark-bench-", dir=options.directory) as name:
        directory = Path(name)
        with s3_server(directory / "buckets") as server:
            os.environ.update(server.environment())
            found = measure(server.bucket("floor"), directory / "fetched", rounds=options.rounds)
    table = Table(title=f"a fetch of {SIZE // 10**6} MB: median (lowest–highest)", title_justify="left")
    for column in ("", "CPU, ms", "wall, ms"):
        table.add_column(column, no_wrap=True)
    for way, (processor, clock) in found.items():
        table.add_row(way, str(processor), str(clock))
    console.print(table)
    return 0


def measure(bucket: Bucket, folder: Path, *, rounds: int) -> Mapping[str, tuple[Spread, Spread]]:
    """CPU time and wall time of each way, in milliseconds."""
    body = os.urandom(SIZE)
    store = bucket.store()
    store.create(LARGE, body)
    store.create(SMALL, b"x")
    path = folder / "file"

    plain = plain_client()

    def receive() -> None:
        host = HttpHeaders([("Host", urlsplit(bucket.url).netloc)])
        request = HttpRequest("GET", f"/{bucket.name}/{LARGE}", host)
        asked = plain.make_request(request=request, type=S3RequestType.GET_OBJECT, recv_filepath=str(path))
        asked.finished_future.result(60)

    def receive_and_hash() -> None:
        receive()
        sha256_of(path)

    ways: dict[str, Callable[[], object]] = {
        "s5cmd cp, of one byte": lambda: copy(bucket, SMALL, folder),
        "s5cmd cp": lambda: copy(bucket, LARGE, folder),
        "SHA-256 alone": lambda: sha256_of(kept),
        "awscrt writes the file": receive,
        "awscrt, then SHA-256": receive_and_hash,
        "petpark's download": lambda: store.download(LARGE, path, size=SIZE),
    }
    kept = folder.with_name("kept")
    kept.write_bytes(body)
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(rounds + 1):  # the first connects and warms up
        for way, call in ways.items():
            folder.mkdir()
            used, began = processor_seconds(), time.perf_counter()
            call()
            took = (processor_seconds() - used) * 1000, (time.perf_counter() - began) * 1000
            shutil.rmtree(folder)
            if number:
                spent[way].append(took)
    return {
        way: (Spread.of([used for used, _ in each]), Spread.of([clock for _, clock in each]))
        for way, each in spent.items()
    }


def plain_client() -> S3Client:
    """The transfer library as its documentation shows it, with parts of 8 MiB as petpark has them."""
    credentials = AwsCredentialsProvider.new_static("benchmark", "benchmark")
    return S3Client(
        region=REGION,
        signing_config=create_default_s3_signing_config(region=REGION, credential_provider=credentials),
        tls_mode=S3RequestTlsMode.DISABLED,
        part_size=PART_BYTES,
    )


def copy(bucket: Bucket, key: str, folder: Path) -> None:
    """Run s5cmd."""
    command = [str(REFERENCES / "s5cmd"), "--log", "error", "cp", f"s3://{bucket.name}/{key}", f"{folder}/"]
    subprocess.run(command, check=True, timeout=60)


if __name__ == "__main__":
    sys.exit(main())
