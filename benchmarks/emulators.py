"""What each emulator costs, and how its stacks come up: `python benchmarks/emulators.py localstack ministack`.

For each emulator named (all that are set up, when none is): seconds until it answers for every service that petpark
uses, its resident memory then and with both stacks deployed, seconds and resources of the two deployments, and what a
second deployment finds different, which for a faithful emulator is nothing. Ends with 1 if a deployment failed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.figures import Machine
from rehearsal.emulator import default_python
from rehearsal.emulators import EMULATORS, Product
from rehearsal.engine import Step
from rehearsal.engine.errors import EngineError
from rehearsal.environment import STACKS, Environment

MIB = 2**20


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("emulators", nargs="*", help=f"which of {', '.join(EMULATORS)}; by default all that are set up")
    chosen = parser.parse_args().emulators or [k for k, p in EMULATORS.items() if default_python(p).exists()]
    if unknown := set(chosen) - set(EMULATORS):
        parser.error(f"no such emulator: {', '.join(sorted(unknown))}")
    console = Console(soft_wrap=True)
    console.print(str(Machine.here()))
    return max([measure(EMULATORS[key], console) for key in chosen], default=0)


def measure(product: Product, console: Console) -> int:
    """One emulator, from its start to the second deployment of both stacks."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder), engine="embedded", product=product)
        began = time.monotonic()
        with environment.emulator:
            started = time.monotonic() - began
            idle = resident(environment.emulator.pid)
        console.print(f"{product.name}: up in {started:.1f} s, {idle:.0f} MiB")
        with Environment(Path(folder), engine="embedded", product=product) as running:
            began = time.monotonic()
            for stack in STACKS:
                try:
                    count = running.deploy(stack)
                    console.print(f"  {stack}: {count} resources after {time.monotonic() - began:.1f} s")
                    update = running.engine(stack).up(stack)
                    differing = [step for step in update.steps if step.op != "same"]
                    differences = "; ".join(difference(step) for step in differing) or "nothing differs"
                    console.print(f"  {stack} again, after {time.monotonic() - began:.1f} s: {differences}")
                except EngineError as error:
                    console.print(f"  {stack}: {' '.join(str(error).split())}")
                    failed = 1
            console.print(f"  with the stacks: {resident(running.emulator.pid):.0f} MiB")
    return failed


def difference(step: Step) -> str:
    """One line on a step that a second deployment took."""
    return f"{step.op} {step.type} {step.name} ({', '.join(change.path for change in step.changes) or 'no reason'})"


def resident(pid: int | None) -> float:
    """Resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / MIB


if __name__ == "__main__":
    sys.exit(main())
