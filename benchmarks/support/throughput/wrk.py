"""wrk, a load generator in C (Debian package `wrk`): one thread keeps 32 connections busy without being felt."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.service import Service
from benchmarks.support.throughput.peer import Question

_SCRIPT = """
local f = io.open("{body}", "rb"); wrk.body = f:read("*a"); f:close()
wrk.method = "POST"; wrk.headers["Content-Type"] = "{kind}"
done = function(s, l)
  local bad = s.errors.status + s.errors.timeout + s.errors.read + s.errors.connect + s.errors.write
  io.write(string.format("RESULT %d %d %d %d %d\\n", s.requests, s.duration, l:percentile(50), l:percentile(99), bad))
end
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one run saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Processor time of the server a request."""
    switches: float
    """Context switches of the server's threads a request."""
    failed: int


def load(server: Service, question: Question, directory: Path, *, connections: int, seconds: int) -> Load:
    """Post over `connections` connections, in the session that measures, which sleeps meanwhile."""
    body, script = directory / "body", directory / "post.lua"
    body.write_bytes(question.body)
    script.write_text(_SCRIPT.format(body=body, kind=question.content_type))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    before = server.usage()
    output = subprocess.run(
        [*command, f"{server.url}{question.path}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    ).stdout
    after = server.usage()
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    assert found, output
    requests, microseconds, p50, p99, failed = map(int, found.groups())
    return Load(
        per_second=(requests - failed) / microseconds * 1e6,
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        cpu_ms=(after.cpu_seconds - before.cpu_seconds) * 1000 / max(requests, 1),
        switches=(after.switches - before.switches) / max(requests, 1),
        failed=failed,
    )
