"""How near the endpoint comes to what the machine can do: `python benchmarks/serving.py`.

Limit: the same decode and the same model in a loop, one process a core, no HTTP. Ours: the endpoint over HTTP, loaded
by wrk on the same machine (Debian package `wrk`), which takes its share of the cores. Both in turns, so that a busy
neighbour meets both; medians are shown. Processor time a photo tells the two apart on a machine that is never quiet.
"""

import argparse
import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import imaging
from registry.catalog import Catalog
from registry.certificate import Certificates
from registry.channel import Channel
from registry.object_store import MemoryStore
from serving.admission import Admission
from serving.live import Live
from serving.rollout import Rollout
from serving.server import serve
from serving.session import Session
from serving.settings import ServingSettings, usable_cores
from serving.telemetry import Metrics

LABELS = ["cat", "dog"]
SIZE = 224
LUA = """
local f = io.open("{body}", "rb"); wrk.body = f:read("*a"); f:close()
wrk.method = "POST"; wrk.headers["Content-Type"] = "image/jpeg"
done = function(s, l)
  local bad = s.errors.status + s.errors.timeout + s.errors.read + s.errors.connect + s.errors.write
  io.write(string.format("RESULT %d %d %d %d %d\\n", s.requests, s.duration, l:percentile(50), l:percentile(99), bad))
end
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one run of wrk saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    failed: int


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What loops without HTTP reach together."""

    per_second: float
    cpu_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, help="a JPEG; by default a noisy one of 640×480 is made")
    parser.add_argument("--model", type=Path, help="an ONNX file to the contract; by default mobilenet_v3_small")
    parser.add_argument("--seconds", type=float, default=5, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed; on Debian: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        model = options.model or make_model(directory / "model.onnx")
        photo = directory / "photo.jpg"
        photo.write_bytes(options.photo.read_bytes() if options.photo else make_photo())
        with endpoint(directory, model, photo) as (port, pid):
            measure(model, photo, port, pid, seconds=options.seconds, rounds=options.rounds)


def measure(model: Path, photo: Path, port: int, pid: int, *, seconds: float, rounds: int) -> None:
    """Take turns, then print medians."""
    cores = usable_cores()
    limits: list[Limit] = []
    singles: list[Limit] = []
    loads: dict[int, list[Load]] = {1: [], 8: [], 32: []}
    for _ in range(rounds):
        limits.append(limit(model, photo, processes=cores, seconds=seconds))
        singles.append(limit(model, photo, processes=1, seconds=seconds))
        for connections, runs in loads.items():
            runs.append(load(photo, port, pid, connections=connections, seconds=seconds))
    most = statistics.median(run.per_second for run in limits)
    alone = 1000 / statistics.median(run.per_second for run in singles)
    cpu = statistics.median(run.cpu_ms for run in limits)
    print(f"{cores} cores, photo of {photo.stat().st_size:,} bytes, {rounds} rounds of {seconds:g} s, medians")
    print(f"limit, {cores} processes        {most:8.0f} photos/s  processor time {cpu:.2f} ms a photo")
    print(f"limit, one call alone     {alone:8.2f} ms")
    for connections, runs in loads.items():
        rate = statistics.median(run.per_second for run in runs)
        p50 = statistics.median(run.p50_ms for run in runs)
        p99 = statistics.median(run.p99_ms for run in runs)
        ours = statistics.median(run.cpu_ms for run in runs)
        print(
            f"endpoint, {connections:2} connections  {rate:8.0f} photos/s ({rate / most:.0%} of the limit)"
            f"  processor time {ours:.2f} ms ({cpu / ours:.0%})  p50 {p50:.2f} ms (limit + {p50 - alone:.2f})"
            f"  p99 {p99:.2f} ms  failed {sum(run.failed for run in runs)}"
        )
    print(f"endpoint's memory         {memory_mb(pid):8.0f} MB (proportional set size)")


def limit(model: Path, photo: Path, *, processes: int, seconds: float) -> Limit:
    """Let `processes` loops run side by side."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        runs = list(pool.map(_loop, [model] * processes, [photo] * processes, [seconds] * processes))
    return Limit(per_second=sum(run.per_second for run in runs), cpu_ms=statistics.mean(run.cpu_ms for run in runs))


def _loop(model: Path, photo: Path, seconds: float) -> Limit:
    session = Session(model)
    data = photo.read_bytes()

    def once() -> None:
        session.probabilities(imaging.decode(data, session.size)[np.newaxis])

    for _ in range(10):
        once()
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        once()
        count += 1
    cpu_ms = (time.process_time() - cpu) * 1000 / count
    return Limit(per_second=count / (time.perf_counter() - began), cpu_ms=cpu_ms)


def load(photo: Path, port: int, pid: int, *, connections: int, seconds: float) -> Load:
    """Let wrk post the photo over `connections` connections."""
    script = photo.with_suffix(".lua")
    script.write_text(LUA.format(body=photo))
    url = f"http://127.0.0.1:{port}/v1/classify"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script), url]
    time.sleep(0.5)  # what the run before left behind is answered by then
    cpu = cpu_seconds(pid)
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    assert found, output
    requests, microseconds, p50, p99, failed = map(int, found.groups())
    return Load(
        per_second=requests / microseconds * 1e6,
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        cpu_ms=(cpu_seconds(pid) - cpu) * 1000 / requests,
        failed=failed,
    )


@contextlib.contextmanager
def endpoint(directory: Path, model: Path, photo: Path) -> Generator[tuple[int, int]]:
    """An endpoint in a process of its own; gives its port and process id once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(directory, model, photo, port))
    process.start()
    began = time.perf_counter()
    try:
        while not _is_ready(port):
            if not process.is_alive() or time.perf_counter() - began > 60:
                sys.exit("the endpoint did not become ready")
            time.sleep(0.01)
        print(f"start to ready            {time.perf_counter() - began:8.2f} s")
        yield port, process.pid or 0
    finally:
        process.terminate()
        process.join(30)


def _is_ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as line:
            line.sendall(b"GET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return line.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def _serve(directory: Path, model: Path, photo: Path, port: int) -> None:
    store = MemoryStore()
    catalog = Catalog(store, "pets")
    probabilities = Session(model).probabilities(imaging.decode(photo.read_bytes(), SIZE)[np.newaxis])[0].tolist()
    probes = directory / "probes.json"
    probes.write_text(json.dumps([{"photo": "probes/0.jpg", "probabilities": probabilities}]))
    files = {"model.onnx": model, "probes.json": probes, "probes/0.jpg": photo}
    version = catalog.publish(files, labels=LABELS, metrics={}, lineage={})
    channel = Channel(store, "pets", "prod")
    channel.move(version, by="benchmark", why="to measure it")
    settings = ServingSettings(
        model_store="memory",
        model="pets",
        channel="prod",
        signing_key=None,
        require_certificate=False,
        host="127.0.0.1",
        port=port,
        threads=usable_cores(),
    )
    live, metrics = Live(), Metrics()
    admission = Admission(
        catalog=catalog,
        certificates=Certificates(store, "pets"),
        verifier=None,
        clock=lambda: datetime.now(UTC),
        max_pixels=settings.limits.pixels,
    )
    rollout = Rollout(channel=channel, admission=admission, live=live, metrics=metrics)
    asyncio.run(serve(settings, followers=[rollout], live=live, metrics=metrics))


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Memory of a process, what it shares counted in parts."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def make_photo() -> bytes:
    """Make a JPEG of 640×480 and some 60 kB, with detail at several scales."""
    generator = np.random.default_rng(7)
    layers = [
        Image.fromarray(generator.integers(0, 256, (480 // scale, 640 // scale, 3), dtype=np.uint8)).resize((640, 480))
        for scale in (80, 16, 4)
    ]
    mixed = np.mean([np.asarray(layer, dtype=np.float32) for layer in layers], axis=0)
    file = io.BytesIO()
    Image.fromarray(mixed.astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def make_model(path: Path) -> Path:
    """Export torchvision's mobilenet_v3_small, untrained, to the contract: speed does not depend on the weights."""
    import torch
    import torchvision

    class Contract(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torchvision.models.mobilenet_v3_small(weights=None, num_classes=len(LABELS)).eval()
            self.to_classes = torch.nn.Conv2d(576, len(LABELS), 1)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            features = self.net.features((image.permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.22)
            embedding = self.net.avgpool(features).flatten(1)
            return self.net.classifier(embedding).softmax(1), embedding, self.to_classes(features)

    example = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    names = ["probabilities", "embedding", "activation_map"]
    torch.onnx.export(
        Contract().eval(),
        (example,),
        str(path),
        input_names=["image"],
        output_names=names,
        dynamic_axes={name: {0: "n"} for name in ["image", *names]},
        dynamo=False,
    )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"labels": json.dumps(LABELS), "size": str(SIZE)})
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    main()
