"""Graphs of state machines: `python -m infra.pipeline.graph` regenerates those in `docs/design/pipeline.md`.

https://mermaid.js.org/syntax/flowchart.html
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import job_machine, study_machine
from infra.pipeline.asl import WAITING, State, following
from infra.pipeline.job.facts import JobFacts, LaunchTemplate
from infra.pipeline.lifecycle import lifecycle_machine
from infra.pipeline.lifecycle.stages import FAILED, SYNC, LifecycleFacts

PAGE: Final = Path(__file__).parents[2] / "docs/design/pipeline.md"


def drawn(definition: Mapping[str, Any]) -> str:
    """A flowchart: jobs are boxes, Choice states diamonds, task-token waits rounded, end states flags.

    A Catch is a dotted line; the Fail state that every stage shares is not drawn.
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
    """`pipeline` with all stages, `job` and `study`."""
    settings = PipelineSettings(canary_percent=5, search=("a=1", "a=2", "a=3"), rounds=("", "a=1"))
    kind = LaunchTemplate(template="lt", usd_per_hour={"t3.large": 0.1}, spot=True)
    lifecycle = LifecycleFacts(
        job="job",
        study="study",
        workspace="workspace",
        lake="lake",
        model="model",
        model_store="store",
        topic="topic",
        code="code",
        gates={},
        stack="test",
        channel="test",
        settings=settings,
    )
    job = JobFacts(
        workspace="workspace",
        subnets=["subnet"],
        machines={"training": kind, "small": kind},
        tags={},
        settings=settings,
    )
    study = study_machine.StudyFacts(job="job", workspace="workspace", usd_per_hour=0.1, settings=settings)
    return {
        "pipeline": lifecycle_machine.definition(lifecycle),
        "job": job_machine.definition(job),
        "study": study_machine.definition(study),
    }


def page(text: str) -> str:
    """The design page with its graphs regenerated."""
    for name, definition in definitions().items():
        mark = f"<!-- graph: {name} -->\n"
        before, _, rest = text.partition(mark)
        _, _, after = rest.partition("<!-- end -->")
        text = f"{before}{mark}```mermaid\n{drawn(definition)}\n```\n<!-- end -->{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
