"""A directed graph in layers, for drawing: Sugiyama's method, small.

Layers by longest path, invisible points where an edge crosses a layer, order by the mean of the neighbours (Sugiyama,
Tagawa, Toda: Methods for Visual Understanding of Hierarchical System Structures, IEEE, 1981). The same graph always
gives the same layers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise


def without_detours(needs: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Edges (needed, needing) without those that a longer way implies, and without any that closes a circle."""
    edges: list[tuple[str, str]] = []
    for needing in sorted(needs):
        for needed in sorted(needs[needing]):
            if not _reaches(edges, needing, needed):
                edges.append((needed, needing))
    return [edge for edge in edges if not _reaches([other for other in edges if other != edge], *edge)]


def _reaches(edges: Sequence[tuple[str, str]], start: str, end: str) -> bool:
    seen, todo = {start}, [start]
    while todo:
        at = todo.pop()
        if at == end:
            return True
        onward = [head for tail, head in edges if tail == at and head not in seen]
        seen.update(onward)
        todo += onward
    return False


def arrange(nodes: Iterable[str], edges: Sequence[tuple[str, str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Put `nodes` into layers so that every edge (tail, head) leads to a later one; the edges must not form a circle.

    Returns the keys of every layer in the order in which to draw them, and every edge as the chain of keys that it
    passes: where it crosses a layer there is an invisible key of its own, so that nothing is drawn across a box.
    """
    layer = dict.fromkeys(sorted(nodes), 0)
    for _ in range(len(layer)):
        for tail, head in edges:
            layer[head] = max(layer[head], layer[tail] + 1)
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for key, number in layer.items():
        rows[number].append(key)
    chains: list[list[str]] = []
    for tail, head in edges:
        passing = [f"{tail}|{head}|{number}" for number in range(layer[tail] + 1, layer[head])]
        for number, key in enumerate(passing, layer[tail] + 1):
            rows[number].append(key)
        chains.append([tail, *passing, head])
    return _untangle(rows, chains), chains


def _untangle(rows: list[list[str]], chains: Sequence[Sequence[str]]) -> list[list[str]]:
    """Order every layer by the mean position of its neighbours, back and forth, until arrows cross little."""
    near: dict[str, set[str]] = defaultdict(set[str])
    for chain in chains:
        for left, right in pairwise(chain):
            near[left].add(right)
            near[right].add(left)
    for sweep in range(8):
        numbers = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for number in numbers:
            beside = number - 1 if sweep % 2 == 0 else number + 1
            if 0 <= beside < len(rows):
                at = {key: index / max(1, len(rows[beside]) - 1) for index, key in enumerate(rows[beside])}
                rows[number].sort(
                    key=lambda key, at=at: (_mean([at[other] for other in near[key] if other in at]), key)
                )
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.5
