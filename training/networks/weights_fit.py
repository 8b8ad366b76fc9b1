"""Which network's weights another network can start from. Only names: an operator's machine has no torch.

A network starts from weights whose names and shapes fit nearly all of its own
(`training.networks.model.load_initial_weights`).
The small residual networks are the beginning of larger ones, so they can start from those; so is EfficientNet-Lite0 of
Lite1. A package's file has names of its own, in the order of one network, so it fits that one alone.
`tests/training/networks/test_weights_fit.py` compares this table with the networks themselves.
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


def fits(architecture: str, *, weights_of: str, packaged: bool = False) -> bool:
    """Whether `architecture` can start from weights of the network `weights_of`; `packaged`: from a package's file."""
    if packaged or weights_of == architecture:
        return weights_of == architecture
    return weights_of in _LARGER.get(architecture, frozenset())
