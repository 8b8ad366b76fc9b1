"""State machines as drawn graphs: `python -m infra.pipeline.graph` writes those of `docs/design/pipeline.md` anew.

https://mermaid.js.org/syntax/flowchart.html
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import job_machine, lifecycle_machine
from infra.pipeline.asl import WAITING, State, following
from infra.pipeline.stages import FAILED, SYNC, LifecycleFacts

PAGE: Final = Path(__file__).parents[2] / "docs/design/pipeline.md"


def drawn(definition: Mapping[str, Any]) -> str:
    """A flowchart: jobs are boxes, decisions rhombs, waits for a person round, ends flags.

    What follows an error is a dotted line; the end to which every stage's error leads is left out.
    """
    lines = ["flowchart TD"]
    for name, state in definition["States"].items():
        if name != FAILED:
            lines.append(f"  {name}{_shape(name, state)}")
            caught = {rule["Next"] for rule in state.get("Catch", [])}
            targets = dict.fromkeys(to for to, _ in following(state) if to != FAILED)
            lines += [
                f"  {name} {'-.->' if to in caught and to != state.get('Next') else '-->'} {to}" for to in targets
            ]
    return "\n".join(lines)


def _shape(name: str, state: State) -> str:
    resource = state.get("Resource", "")
    if state["Type"] == "Choice":
        return f"{{{name}}}"
    if state["Type"] in ("Fail", "Succeed") or state.get("End"):
        return f">{name}]"
    if resource.endswith(WAITING):
        return f"([{name}])"
    return f"[[{name}]]" if resource == SYNC or state["Type"] == "Map" else f"[{name}]"


def definitions() -> dict[str, dict[str, Any]]:
    """`pipeline` with all of its stages, and `job`."""
    settings = PipelineSettings(canary_percent=5, search=("a=1", "a=2", "a=3"), rounds=("", "a=1"))
    kind = job_machine.LaunchTemplate(template="lt", usd_per_hour={"t3.large": 0.1}, spot=True)
    lifecycle = LifecycleFacts(
        job="job",
        workspace="workspace",
        lake="lake",
        topic="topic",
        code="code",
        gates={},
        stack="test",
        channel="test",
        settings=settings,
    )
    job = job_machine.JobFacts(
        workspace="workspace",
        subnets=["subnet"],
        machines={"training": kind, "small": kind},
        tags={},
        settings=settings,
    )
    return {"pipeline": lifecycle_machine.definition(lifecycle), "job": job_machine.definition(job)}


def page(text: str) -> str:
    """The design page with its graphs as the definitions are now."""
    for name, definition in definitions().items():
        mark = f"<!-- graph: {name} -->\n"
        before, _, rest = text.partition(mark)
        _, _, after = rest.partition("<!-- end -->")
        text = f"{before}{mark}```mermaid\n{drawn(definition)}\n```\n<!-- end -->{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
