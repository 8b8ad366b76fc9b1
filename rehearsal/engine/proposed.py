"""The proposed new state: what Terraform's core works out before it asks a provider to plan.

A port of the rules that the protocol asks of every client (Terraform's "resource instance change lifecycle" page):
what the program sets wins, what the provider computes is carried over, and an element of a set keeps the computed
parts of the old element that it agrees with in everything the program set.
"""

from __future__ import annotations

from typing import Any

from rehearsal.engine.schema import Block, NestedBlock, Nesting
from rehearsal.engine.values import UNKNOWN, Fields


def proposed_new(block: Block, prior: Fields | None, config: Fields) -> Fields:
    """The state to propose for `config`, given the `prior` state (None for a resource to be created)."""
    before = block.empty() if prior is None else prior
    proposed: Fields = {}
    for name, attribute in block.attributes.items():
        wanted = config.get(name)
        keep = attribute.computed and (not attribute.optional or wanted is None)
        proposed[name] = before.get(name) if keep else wanted
    for name, nested in block.blocks.items():
        proposed[name] = _nested(nested, before.get(name), config.get(name))
    return proposed


def _nested(nested: NestedBlock, prior: Any, config: Any) -> Any:
    if config is None or config is UNKNOWN:
        return config
    match nested.nesting:
        case Nesting.SINGLE | Nesting.GROUP:
            return proposed_new(nested.block, _known(prior), config)
        case Nesting.LIST:
            before = _known(prior) or []
            return [
                _element(nested.block, before[i] if i < len(before) else None, item) for i, item in enumerate(config)
            ]
        case Nesting.MAP:
            known = _known(prior) or {}
            return {key: _element(nested.block, known.get(key), item) for key, item in config.items()}
        case Nesting.SET:
            return _set(nested.block, list(_known(prior) or []), config)


def _set(block: Block, prior: list[Any], config: list[Any]) -> list[Any]:
    proposed: list[Any] = []
    for item in config:
        partner = next((old for old in prior if item is not UNKNOWN and could_be(block, old, item)), None)
        if partner is not None:
            prior.remove(partner)
        proposed.append(_element(block, partner, item))
    return proposed


def _element(block: Block, prior: Any, config: Any) -> Any:
    return config if config is UNKNOWN else proposed_new(block, _known(prior), config)


def _known(value: Any) -> Any:
    return None if value is UNKNOWN else value


def could_be(block: Block, prior: Any, config: Any) -> bool:
    """Whether the state element `prior` can have come from `config`: equal but for what the provider computes."""
    if not isinstance(prior, dict) or not isinstance(config, dict):
        return False
    for name, attribute in block.attributes.items():
        wanted = config.get(name)
        if not (wanted is None and attribute.computed) and wanted != prior.get(name):
            return False
    return all(_nested_could_be(nested, prior.get(name), config.get(name)) for name, nested in block.blocks.items())


def _nested_could_be(nested: NestedBlock, prior: Any, config: Any) -> bool:
    if config is UNKNOWN or prior is UNKNOWN:
        return False
    match nested.nesting:
        case Nesting.SINGLE | Nesting.GROUP:
            return prior is config if config is None or prior is None else could_be(nested.block, prior, config)
        case Nesting.LIST:
            pairs = list(zip(prior or [], config or [], strict=False))
            return len(prior or []) == len(config or []) and all(could_be(nested.block, *pair) for pair in pairs)
        case Nesting.MAP:
            old, new = prior or {}, config or {}
            return old.keys() == new.keys() and all(could_be(nested.block, old[key], new[key]) for key in new)
        case Nesting.SET:
            return _sets_could_be(nested.block, list(prior or []), list(config or []))


def _sets_could_be(block: Block, prior: list[Any], config: list[Any]) -> bool:
    if len(prior) != len(config):
        return False
    for item in config:
        partner = next((old for old in prior if could_be(block, old, item)), None)
        if partner is None:
            return False
        prior.remove(partner)
    return True
