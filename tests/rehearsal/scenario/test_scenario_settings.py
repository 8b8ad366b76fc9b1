"""What a rehearsal puts on top of the YAML of the stack that has the pipeline."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration.pipeline_settings import PipelineSettings
from registry.gates import MODEL_GATES, ModelGates, StackGates
from registry.strict_yaml import read_yaml
from rehearsal.emulator import REPOSITORY
from rehearsal.scenario.demo_gates import LEAST_TEST_PHOTOS, demo_gates, left_out
from rehearsal.scenario.scenario_options import CHECKS, ScenarioOptions


@pytest.mark.parametrize(
    "script", [ScenarioOptions(), ScenarioOptions(base="transfer", recipe=()), ScenarioOptions(recipe=("epochs=2",))]
)
def test_a_manifest_starts_a_pipeline_that_trains_as_the_scenario_does_by_the_stacks_own_gates(
    script: ScenarioOptions,
) -> None:
    own = read_yaml((REPOSITORY / "Pulumi.test.yaml").read_text())["config"]
    found = script.settings(own)
    read = PipelineSettings.from_dict(found["petpark:pipeline"])
    assert (read.on_manifest, read.recipe, read.rounds) == (True, script.base, (" ".join(script.recipe),))
    assert (read.prod_stack, read.canary_percent, read.search) == ("prod", 0, ())
    assert read.month_usd == own["petpark:pipeline"]["month_usd"], "the rest is as the YAML says"
    gates = StackGates.from_dict(found["petpark:gates"])
    assert gates.data == StackGates.from_dict(own["petpark:gates"]).data
    assert gates.model == StackGates.from_dict(own["petpark:gates"]).model
    assert {f"{name}={value}" for name, value in gates.checks.items()} >= set(CHECKS)


@pytest.mark.parametrize(("each", "required"), [(6, set()), (60, {"accuracy", "recall", "robustness_drop"})])
def test_a_users_own_photos_have_only_gates_that_they_can_measure(
    tmp_path: Path, each: int, required: set[str]
) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(each):
            (tmp_path / label / f"{number}.jpg").write_bytes(b"jpeg")
    own = read_yaml((REPOSITORY / "Pulumi.test.yaml").read_text())["config"]
    gates = StackGates.from_dict(ScenarioOptions.of_photos(tmp_path).settings(own)["petpark:gates"])
    asks = {name for name, value in gates.model.items() if not MODEL_GATES[name].is_off(value)}
    assert required <= asks
    assert asks if required else not asks
    assert "slice_gap" not in asks
    assert gates.data == StackGates.from_dict(own["petpark:gates"]).data


@given(st.integers(0, 100))
def test_gates_of_a_demo_are_the_stacks_or_require_nothing(test_photos: int) -> None:
    own = {"accuracy": 0.7, "slice_gap": 0.2}
    found = demo_gates(own, test_photos)
    changed = {name for name in found if found[name] != own.get(name)}
    assert all(MODEL_GATES[name].is_off(found[name]) for name in changed)
    few = test_photos < LEAST_TEST_PHOTOS
    assert changed >= ({"accuracy", "recall"} if few else {"slice_gap"})
    assert ("slice_gap" in left_out(test_photos)) is not few
    assert ModelGates(**found)
