"""The emulators that petpark can rehearse against; LocalStack is the default."""

from collections.abc import Mapping
from types import MappingProxyType

from rehearsal.emulators.localemu import LOCALEMU
from rehearsal.emulators.localstack import LOCALSTACK
from rehearsal.emulators.ministack import MINISTACK
from rehearsal.emulators.product import PLUGIN, EmulatorPaths, Lacking, Product

DEFAULT = LOCALSTACK
VARIABLE = "PETPARK_EMULATOR"
"""Environment variable: an emulator other than the default."""

EMULATORS: Mapping[str, Product] = MappingProxyType(
    {product.key: product for product in (LOCALSTACK, MINISTACK, LOCALEMU)}
)

__all__ = ["DEFAULT", "EMULATORS", "PLUGIN", "VARIABLE", "EmulatorPaths", "Lacking", "Product"]
