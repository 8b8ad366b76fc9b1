"""The official Pulumi CLI: where it is, which version it has, and what a stack exports."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petpark.downloads import TOOLS
from petpark.errors import PulumiFailed, PulumiMissing, StackNotDeployed

_PROJECT = "Pulumi.yaml"
_STACK = re.compile(r"Pulumi\.(?P<stack>.+)\.yaml")
_OUTPUT_TIMEOUT = 120.0
_ABSENT = ("no stack named", "no stack selected", "no previous deployment")


def find() -> Path | None:
    """The `pulumi` program: on the PATH, else what set-up fetched, else where Pulumi's own installers put it.

    The newest of each place.
    """
    on_path = shutil.which("pulumi")
    if on_path:
        return Path(on_path)
    home = Path.home() / ".pulumi"
    fetched = sorted((TOOLS / "pulumi").glob("*/bin/pulumi"), key=_version_of, reverse=True)
    installed = sorted((home / "versions").glob("*/bin/pulumi"), key=_version_of, reverse=True)
    candidates = [*fetched, home / "bin" / "pulumi", *installed]
    return next((path for path in candidates if os.access(path, os.X_OK) and path.is_file()), None)


def version(program: Path) -> str:
    """Returns the output of `pulumi version`; raises `PulumiFailed` if it is empty."""
    return run(program, "version", cwd=Path.cwd(), timeout=30).strip().removeprefix("v")


def project_root(start: Path | None = None) -> Path:
    """The folder with `Pulumi.yaml`, at or above `start`; raises `PulumiFailed` outside of the project."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / _PROJECT).is_file():
            return folder
    raise PulumiFailed(
        f"{start} is not in a Pulumi project: no {_PROJECT} here or above.",
        next_step="Run petpark in the checkout of petpark.",
    )


def stacks(root: Path) -> tuple[str, ...]:
    """The stacks that the project has settings for, `test` before `prod`."""
    found = (_STACK.fullmatch(path.name) for path in root.glob("Pulumi.*.yaml"))
    return tuple(sorted((match["stack"] for match in found if match), reverse=True))


def outputs(stack: str, root: Path) -> Mapping[str, Any]:
    """What `stack` exports; raises `PulumiMissing`, `StackNotDeployed` or `PulumiFailed`."""
    program = find()
    if program is None:
        raise PulumiMissing(
            "The Pulumi CLI is not installed; it is needed to read a stack's outputs.",
            next_step="petpark doctor --install-pulumi (or --target rehearsal, which does without it)",
        )
    text = run(program, "stack", "output", "--json", "--stack", stack, cwd=root, timeout=_OUTPUT_TIMEOUT)
    try:
        found = json.loads(json_part(text) or "{}")
    except ValueError:
        raise PulumiFailed(
            f"`pulumi stack output` of stack {stack} printed something else than JSON.",
            next_step=f"Run it by hand: pulumi stack output --json --stack {stack}",
        ) from None
    if not found:
        raise _not_deployed(stack)
    return found


def run(
    program: Path,
    *words: str,
    cwd: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    partial: bool = False,
) -> str:
    """What `pulumi` prints for `words` within `timeout` seconds; raises `StackNotDeployed` or `PulumiFailed`.

    `environment` is ours if it is not given. `partial`: a JSON object counts even if the command failed, for it names
    the errors.
    """
    if program.is_relative_to(TOOLS):
        from petpark.downloads.pulumi import problem

        if why := problem(program):
            raise PulumiFailed(
                f"The Pulumi CLI is not used: {why}.",
                next_step=f"Remove {TOOLS / 'pulumi'} and fetch it again: petpark doctor --install-pulumi",
            )
    environment = {**(os.environ if environment is None else environment), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = [str(program), "--non-interactive", *words]
    shown = " ".join(("pulumi", *words))
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PulumiFailed(
            f"`{shown}` did not answer within {timeout:.0f} s.", next_step="Check the state backend: pulumi whoami -v"
        ) from None
    except OSError as error:
        raise PulumiFailed(
            f"`{shown}` could not be started: {error}", next_step="petpark doctor --install-pulumi"
        ) from None
    if done.returncode == 0 or (partial and json_part(done.stdout).startswith("{")):
        return done.stdout
    output = done.stderr.strip()
    if "--stack" in words and any(sign in output.lower() for sign in _ABSENT):
        raise _not_deployed(words[-1])
    raise PulumiFailed(
        f"`{shown}` failed: {output or done.stdout.strip()}",
        next_step="Run it by hand to see more; `pulumi login` if it requires a login.",
    )


def json_part(text: str) -> str:
    """`text` from the first line that begins a JSON object or list: plugins may print warnings before it."""
    begins = re.search(r"^[{\[](?!\w)", text.lstrip(), re.MULTILINE)
    return text.lstrip()[begins.start() :] if begins else text.strip()


def _not_deployed(stack: str) -> StackNotDeployed:
    return StackNotDeployed(f"Stack {stack} is not deployed.", next_step=f"pulumi up --stack {stack}")


def _version_of(program: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", program.parent.parent.name))
