"""A reference library in its own process and environment (.venv-benchmarks).

`python reference_worker.py TOOL BUCKET FOLDER` prints one line for each line of its input, and ends with its input.
Input: `{"verb": "publish" | "fetch", "directory": path, "place": prefix}`. Answer: `{"ok": true}` or `{"error": text}`.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

TIMEOUT_SECONDS = 120.0
THREADS = 8


class Tool(Protocol):
    """Sends every file of a directory under a prefix, and brings them back."""

    def publish(self, directory: Path, place: str) -> None:
        """Send."""
        ...

    def fetch(self, directory: Path, place: str) -> None:
        """Bring back into `directory`, which exists and is empty."""
        ...


class Boto3:
    """`upload_file` and `download_file`, as the manual has them; several files from a pool of threads."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._s3 = _client()

    def publish(self, directory: Path, place: str) -> None:
        """See Tool."""

        def send(path: Path) -> None:
            self._s3.upload_file(str(path), self._bucket, f"{place}/{path.name}")

        _each(send, directory.iterdir())

    def fetch(self, directory: Path, place: str) -> None:
        """See Tool."""

        def load(key: str) -> None:
            self._s3.download_file(self._bucket, key, str(directory / _name(key)))

        _each(load, _keys(self._s3, self._bucket, place))


class Crt:
    """AWS's own transfer library in C, bare: the fastest that Python can call."""

    def __init__(self, bucket: str) -> None:
        from awscrt import auth, io, s3  # pyright: ignore[reportMissingImports] — only in .venv-benchmarks

        group = io.EventLoopGroup(len(os.sched_getaffinity(0)))
        credentials = auth.AwsCredentialsProvider.new_static(
            os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        )
        region = os.environ["AWS_REGION"]
        self._bucket = bucket
        self._host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
        self._lister = _client()
        self._client: Any = s3.S3Client(
            bootstrap=io.ClientBootstrap(group, io.DefaultHostResolver(group)),
            region=region,
            signing_config=s3.create_default_s3_signing_config(region=region, credential_provider=credentials),
            tls_mode=s3.S3RequestTlsMode.DISABLED,
        )

    def publish(self, directory: Path, place: str) -> None:
        """See Tool."""
        self._finish([self._put(path, f"{place}/{path.name}") for path in directory.iterdir()])

    def fetch(self, directory: Path, place: str) -> None:
        """See Tool."""
        self._finish([self._get(key, directory / _name(key)) for key in _keys(self._lister, self._bucket, place)])

    def _put(self, path: Path, key: str) -> Any:
        from awscrt import http, s3  # pyright: ignore[reportMissingImports]

        headers = http.HttpHeaders([("host", self._host), ("content-length", str(path.stat().st_size))])
        return self._client.make_request(
            type=s3.S3RequestType.PUT_OBJECT,
            request=http.HttpRequest("PUT", f"/{self._bucket}/{key}", headers),
            send_filepath=str(path),
            checksum_config=s3.S3ChecksumConfig(
                algorithm=s3.S3ChecksumAlgorithm.CRC32, location=s3.S3ChecksumLocation.HEADER
            ),
        )

    def _get(self, key: str, path: Path) -> Any:
        from awscrt import http, s3  # pyright: ignore[reportMissingImports]

        return self._client.make_request(
            type=s3.S3RequestType.GET_OBJECT,
            request=http.HttpRequest("GET", f"/{self._bucket}/{key}", http.HttpHeaders([("host", self._host)])),
            recv_filepath=str(path),
        )

    def _finish(self, requests: list[Any]) -> None:
        for request in requests:
            request.finished_future.result(TIMEOUT_SECONDS)


class MLflow:
    """A model registry with its database in SQLite and its artifacts on S3."""

    def __init__(self, bucket: str, folder: Path) -> None:
        import mlflow  # pyright: ignore[reportMissingImports]

        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        self._bucket = bucket
        self._artifacts: Any = mlflow.artifacts
        self._registry: Any = mlflow.MlflowClient()
        self._registry.create_registered_model("pets")
        self._numbers: dict[str, str] = {}

    def publish(self, directory: Path, place: str) -> None:
        """See Tool. An experiment determines where artifacts are stored, so each location has one."""
        experiment = self._registry.create_experiment(place, artifact_location=f"s3://{self._bucket}/{place}")
        run = self._registry.create_run(experiment)
        self._registry.log_artifacts(run.info.run_id, str(directory), "model")
        version = self._registry.create_model_version(
            "pets", source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id
        )
        self._numbers[place] = version.version

    def fetch(self, directory: Path, place: str) -> None:
        """See Tool."""
        self._artifacts.download_artifacts(f"models:/pets/{self._numbers[place]}", dst_path=str(directory))


def main() -> None:
    """Answer until the input ends."""
    name, bucket, folder = sys.argv[1:]
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # a library's output must not look like a response
        tool = _tool(name, bucket, Path(folder))
        print(json.dumps({"ok": True}), file=answers, flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            action = tool.publish if order["verb"] == "publish" else tool.fetch
            try:
                action(Path(order["directory"]), order["place"])
            except Exception as error:  # noqa: BLE001 — the caller must get any error
                print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
            else:
                print(json.dumps({"ok": True}), file=answers, flush=True)


def _tool(name: str, bucket: str, folder: Path) -> Tool:
    match name:
        case "boto3":
            return Boto3(bucket)
        case "awscrt":
            return Crt(bucket)
        case "mlflow":
            return MLflow(bucket, folder)
        case _:
            sys.exit(f"no tool {name!r}")


def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(max_pool_connections=32))


def _keys(s3: Any, bucket: str, place: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{place}/")
    return [found["Key"] for page in pages for found in page["Contents"]]


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _each[T](action: Callable[[T], None], things: Iterable[T]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(action, things))


if __name__ == "__main__":
    main()
