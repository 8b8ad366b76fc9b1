"""A stack's settings as the CLI writes them: what it leaves as it was, and what it writes another way (v3.274).

When it writes one value or the salt, it writes the whole file from its own record of it, in which every value directly
below `config` is text. Comments, the order of keys, and quotes stay; blank lines go (sdk/go/common/util/yamlutil).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import yaml

_LINE = re.compile(r"  (?P<key>[^\s#].*?): (?P<value>[^\s#].*?)(?P<comment> +#.*)?")


def rewritten(text: str) -> str:
    """`text` as the CLI would write it with nothing changed."""
    kept = [line for line in text.splitlines() if line.strip()]
    return "".join(f"{_line(line)}\n" for line in kept)


def with_values(text: str, values: Mapping[str, str]) -> str:
    """`text` as the CLI would write it with `values` set; new keys come last."""
    lines = rewritten(text or "config:\n").splitlines()
    for key, value in values.items():
        place = next((place for place, line in enumerate(lines) if _key(line) == key), None)
        if place is None:
            last = max(place for place, line in enumerate(lines) if line.startswith(("config:", "  ")))
            lines.insert(last + 1, f"  {key}: {scalar(value)}")
        else:
            found = _LINE.fullmatch(lines[place])
            lines[place] = f"  {key}: {scalar(value)}{(found and found['comment']) or ''}"
    return "".join(f"{line}\n" for line in lines)


def without(text: str, key: str) -> str:
    """`text` as the CLI would write it without `key`."""
    return "".join(f"{line}\n" for line in rewritten(text).splitlines() if _key(line) != key)


def scalar(value: str) -> str:
    """Text as a YAML scalar: quoted where YAML would read something else than this text."""
    try:
        plain = yaml.safe_load(f"- {value}") == [value]
    except yaml.YAMLError:
        plain = False
    return value if plain else json.dumps(value)


def _line(line: str) -> str:
    found = _LINE.fullmatch(line)
    if found is None or found["value"][0] in "{[\"'|>&*":
        return line
    return f"  {found['key']}: {scalar(found['value'])}{found['comment'] or ''}"


def _key(line: str) -> str | None:
    found = re.fullmatch(r"  ([^\s#].*?):(?: .*)?", line)
    return found[1] if found else None
