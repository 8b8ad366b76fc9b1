"""YAML in which no key of a map is there twice. PyYAML takes the last one and silently ignores the first.

YAML 1.2.2, section 3.2.1.1: the keys of a mapping are unique. The Pulumi CLI refuses such files as well.
"""

from typing import Any

import yaml
from yaml.composer import ComposerError


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a map, before merge keys (`<<`) and aliases are resolved: these may name a key again."""
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in first:
                    problem = f"'{key.value}' is there twice, first in line {first[name]}; keep one"
                    raise ComposerError(None, None, problem, key.start_mark)
                first[name] = line
        return node


def read_yaml(text: str) -> Any:
    """Returns the content of `text`. Raises `yaml.YAMLError`, of which `place` returns line and reason."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


def place(error: Exception) -> str:
    """Returns where and why a file cannot be read, in one line, without quoting the rest of it."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error) if isinstance(error, yaml.YAMLError) else type(error).__name__
    return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem or ''}"
