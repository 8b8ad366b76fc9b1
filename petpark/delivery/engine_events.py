"""What an operation of the Pulumi CLI did to each resource, from its event log.

Format: one line of JSON for each `EngineEvent` of pulumi's `sdk/go/common/apitype/events.go`. With `--event-log` the
CLI writes it for every operation, previews included, whatever it prints. Secrets arrive as `[secret]`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petpark.errors import PulumiFailed
from petpark.preview import make
from petpark.preview.plan import PropertyChange
from petpark.preview.pulumi_json import leaves
from petpark.targets import pulumi_cli

_ALWAYS_UPDATED = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Done:
    """One resource and the operation on it, done or planned: `update`, `delete`, `create`, …"""

    op: str
    urn: str
    properties: tuple[PropertyChange, ...] = ()

    @property
    def type(self) -> str:
        """The type token, such as `aws:s3/bucket:Bucket`."""
        return self.urn.split("::", 3)[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        """The name that the program gave it."""
        return self.urn.split("::", 3)[3]


def run(*words: str, stack: str, root: Path, seconds: float) -> tuple[Done, ...]:
    """Run the CLI's `words` on a stack. Returns the result for each resource that changed.

    Raises `PulumiMissing`, `PulumiFailed`, `StackNotDeployed`.
    """
    cli = make.program()
    with tempfile.TemporaryDirectory(prefix="petpark-") as folder:
        log = Path(folder) / "events.json"
        command = (*words, "--event-log", str(log), "--stack", stack)
        pulumi_cli.run(cli, *command, cwd=root, timeout=seconds)
        if not log.exists():
            raise PulumiFailed(
                f"`pulumi {words[0]}` of stack {stack} wrote no event log.",
                next_step="Use the version of the Pulumi CLI that petpark doctor --install-pulumi installs.",
            )
        return tuple(read(log.read_text(encoding="utf-8")))


def read(text: str) -> Iterator[Done]:
    """Yields each resource of an event log that did not stay the same. Raises `PulumiFailed`."""
    try:
        for line in text.splitlines():
            outputs = json.loads(line).get("resOutputsEvent")
            if outputs is None:
                continue
            about: Mapping[str, Any] = outputs["metadata"]
            if about["op"] in ("same", "read", "refresh") or about["urn"].split("::")[2] == _ALWAYS_UPDATED:
                continue
            yield Done(op=str(about["op"]), urn=str(about["urn"]), properties=tuple(_differences(about)))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise PulumiFailed(
            "The event log of the Pulumi CLI has an unknown format.",
            next_step="Use the version that petpark doctor --install-pulumi installs.",
        ) from None


def _differences(about: Mapping[str, Any]) -> Iterator[PropertyChange]:
    """Differences of the inputs, or of the outputs if the inputs are equal."""
    for kind in ("inputs", "outputs"):
        before, after = (leaves((about.get(when) or {}).get(kind) or {}) for when in ("old", "new"))
        differing = [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]
        if about["op"] != "delete" and differing:
            for path in differing:
                yield PropertyChange(path=path, before=before.get(path), after=after.get(path))
            return
