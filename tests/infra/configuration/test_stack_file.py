"""A stack's YAML file, read without Pulumi."""

from pathlib import Path

import pytest

from infra.configuration.stack_file import SettingsUnusable, as_text, default_tags
from tests.infra.conftest import ROOT


def write(folder: Path, text: str) -> Path:
    (folder / "Pulumi.test.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("stack", ["test", "prod"])
def test_the_shipped_files_tag_everything_with_project_stack_and_expiry(stack):
    tags = {"petpark:project": "petpark", "petpark:stack": stack, "petpark:expires": "none"}
    assert default_tags(ROOT, stack) == tags


def test_tags_are_texts(tmp_path):
    text = "config:\n  aws:defaultTags:\n    tags:\n      team: park\n      cost-centre: 42\n"
    assert default_tags(write(tmp_path, text), "test") == {"team": "park", "cost-centre": "42"}


@pytest.mark.parametrize(
    "tags", ["", "  aws:defaultTags:", "  aws:defaultTags: [a]", "  aws:defaultTags:\n    tags: [a]", "  x: {tags: {}}"]
)
def test_a_file_without_tags_is_refused(tmp_path, tags):
    folder = write(tmp_path, f"config:\n  aws:region: eu-west-1\n{tags}\n")
    with pytest.raises(SettingsUnusable, match=r"Pulumi\.test\.yaml has no tags in aws:defaultTags"):
        default_tags(folder, "test")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("config: []", "holds no settings: it has no map named `config`"),
        ("- config", "holds no settings: it has no map named `config`"),
        ("config: {a: 1, a: 2}", "holds no settings: "),
        ("a: {", "holds no settings: "),
    ],
)
def test_a_file_that_holds_no_settings_is_named_with_the_reason(tmp_path, text, told):
    with pytest.raises(SettingsUnusable) as refused:
        default_tags(write(tmp_path, text), "test")
    assert str(refused.value).startswith(f"{tmp_path}/Pulumi.test.yaml {told}")


def test_a_missing_file_says_which_command_needs_it_and_one_that_cannot_be_read_why(tmp_path):
    with pytest.raises(SettingsUnusable) as refused:
        default_tags(tmp_path, "prod")
    assert (
        str(refused.value)
        == f"{tmp_path}/Pulumi.prod.yaml does not exist; `pulumi stack init prod` needs it in the same folder"
    )
    (tmp_path / "Pulumi.test.yaml").mkdir()
    with pytest.raises(SettingsUnusable, match=r"Pulumi\.test\.yaml cannot be read: Is a directory"):
        default_tags(tmp_path, "test")


def test_values_become_texts_as_pulumi_hands_them_to_a_program():
    assert [as_text(value) for value in ("a", "", None, 1, True, {"a": [1]})] == [
        "a", "", None, "1", "true", '{"a": [1]}',
    ]  # fmt: skip
