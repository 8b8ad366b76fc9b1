import subprocess
import sys
import time
from pathlib import Path

from rehearsal.sandbox.processes import descendants

TIMEOUT_SECONDS = 60.0


def test_a_process_dies_with_the_one_that_spawned_it(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from rehearsal.sandbox.processes import spawn; "
        "print(spawn(['sleep', '1000'], environment={'PATH': '/usr/bin:/bin'}, directory='/', log=Path(sys.argv[1])), "
        "flush=True); time.sleep(1000)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert descendants(parent.pid) == [child]
        parent.kill()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
