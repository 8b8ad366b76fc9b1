"""Which network's weights another network can start from. Only names: an operator's machine has no torch.

A network starts from weights whose names and shapes fit nearly all of its own (`training.model.load_initial_weights`).
The small residual networks are the beginning of larger ones, and lite1 is lite0 with more layers in each stage, so they
can start from those.
`tests/training/test_weights_fit.py` holds this table against the networks themselves.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_LARGER: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "resnet8": frozenset({"resnet10", "resnet18"}),
        "resnet10": frozenset({"resnet18"}),
        "efficientnet_lite0": frozenset({"efficientnet_lite1"}),
    }
)


def fits(architecture: str, *, weights_of: str) -> bool:
    """Whether `architecture` can start from weights of the network `weights_of`."""
    return weights_of == architecture or weights_of in _LARGER.get(architecture, frozenset())
