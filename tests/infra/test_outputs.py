import ast
import json
from dataclasses import asdict
from pathlib import Path

import yaml

from training.plan import Checks, DataGates, Gates

ROOT = Path(__file__).resolve().parents[2]


def test_both_stacks_export_the_same_keys(deployments):
    test, prod = deployments["test"].outputs, deployments["prod"].outputs
    assert set(test) == set(prod)
    roles = {"publisher", "certifier", "promoter", "reader", "collector", "repairer"}
    assert set(test["roles"]) == set(prod["roles"]) == roles
    assert test["certificate_days"] == prod["certificate_days"] == 365
    assert set(test["training"]) == set(prod["training"]) == {"log_group", "instances"}


def test_prod_answers_from_the_platform_that_test_owns(deployments):
    places = ("model_store", "data_lake", "workspace", "encryption_key", "signing_key")
    shared = (*places, "roles", "channels", "gates", "training")
    for key in shared:
        assert deployments["prod"].outputs[key] == deployments["test"].outputs[key], key
    made = {resource.type for resource in deployments["prod"].resources}
    assert "petpark:infra:ModelStore" not in made
    assert "petpark:infra:Training" not in made


def test_both_stacks_say_what_their_channels_ask_for(deployments):
    config = yaml.safe_load((ROOT / "Pulumi.test.yaml").read_text())["config"]
    for deployment in deployments.values():
        assert deployment.outputs["channels"] == config["petpark:channels"]
        assert deployment.outputs["endpoint"]["channel"] in deployment.outputs["channels"]


def test_both_stacks_say_what_models_must_show(deployments):
    config = yaml.safe_load((ROOT / "Pulumi.test.yaml").read_text())["config"]
    for deployment in deployments.values():
        assert deployment.outputs["gates"] == config["petpark:gates"]


def test_the_yaml_ships_the_gates_and_checks_that_training_has_by_itself():
    gates = yaml.safe_load((ROOT / "Pulumi.test.yaml").read_text())["config"]["petpark:gates"]
    # What takes networks, and so minutes, or a hundred photos, is not asked before a park asks for it.
    photos = asdict(DataGates(label_noise=1, unlike=1))
    assert gates == {"data": photos, "model": asdict(Gates()), "checks": asdict(Checks())}


def test_every_output_is_known_and_can_be_written_as_json(deployments):
    for deployment in deployments.values():
        assert None not in deployment.outputs.values()
        assert json.loads(json.dumps(deployment.outputs)) == deployment.outputs


def test_an_endpoint_says_its_kind_and_what_belongs_to_it(deployments):
    common = {"kind", "channel", "api_keys", "url", "port", "log_group"}
    one, group = deployments["test"].outputs["endpoint"], deployments["prod"].outputs["endpoint"]
    assert set(one) == common | {"instance_id"}
    assert set(group) == common | {"autoscaling_group", "target_group", "load_balancer", "load_balancer_name"}
    assert (one["kind"], one["channel"], one["url"]) == ("instance", "test", "http://198.51.100.7:8080")
    assert (group["kind"], group["channel"], group["port"]) == ("autoscaled", "prod", 443)


def test_either_kind_of_endpoint_can_be_had_in_either_stack(redeploy):
    plain = {"host_name": "none", "dns_zone": "none", "allow_keys_over_http": "true"}
    assert redeploy("prod", endpoint_kind="instance", **plain).outputs["endpoint"]["kind"] == "instance"
    assert redeploy("test", endpoint_kind="autoscaled").outputs["endpoint"]["kind"] == "autoscaled"


def test_both_files_hold_the_same_keys_and_the_project_describes_each():
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    stacks = [yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"] for stack in ("test", "prod")]
    assert set(stacks[0]) == set(stacks[1])
    assert {f"petpark:{key}" for key in project} | {"aws:region", "aws:defaultTags"} == set(stacks[0])
    assert all(entry["type"] and entry["description"] for entry in project.values())


def test_the_values_have_the_types_that_the_project_declares():
    # Every scalar is text, as the Pulumi CLI writes it; what the text stands for has the type.
    types = {"string": str, "boolean": bool, "integer": int, "object": dict, "array": list}
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    for stack in ("test", "prod"):
        config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
        for key, entry in project.items():
            value = config[f"petpark:{key}"]
            meant = yaml.safe_load(value) if entry["type"] in ("boolean", "integer") else value
            assert type(meant) is types[entry["type"]], key


def test_the_program_fits_a_screen_and_decides_nothing():
    source = (ROOT / "__main__.py").read_text()
    assert len(source.splitlines()) <= 50
    decisions = (ast.If, ast.IfExp, ast.For, ast.While, ast.comprehension, ast.Lambda, ast.FunctionDef, ast.Match)
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, decisions)]
    assert "apply" not in source


def test_nothing_in_the_program_knows_of_the_rehearsal():
    sources = [ROOT / "__main__.py", *(ROOT / "infra").glob("*.py")]
    words = ("localstack", "localhost", "127.0.0.1", "rehearsal import", "import rehearsal", "moto")
    told = [(path.name, word) for path in sources for word in words if word in path.read_text().lower()]
    assert told == []
