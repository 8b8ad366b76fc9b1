"""The AWS provider binary that the engine drives."""

import os
from collections.abc import Mapping
from pathlib import Path

from petpark.downloads import TOOLS
from rehearsal.engine.errors import ProviderChanged, ProviderMissing
from rehearsal.provider.integrity import WAY_OUT, changed
from rehearsal.provider.mirrors import VARIABLE, installed


def find_provider(environment: Mapping[str, str] = os.environ, *, root: Path = Path("/"), tools: Path = TOOLS) -> Path:
    """The AWS provider binary to use, where `rehearsal.provider.mirrors.installed` finds it.

    Raises `ProviderMissing`, which says in one sentence how to get one, and `ProviderChanged` for a downloaded one that
    is no longer what was verified when it was installed.
    """
    if (found := installed(environment, root=root, tools=tools)) is not None:
        if why := changed(found, tools=tools):
            raise ProviderChanged(f"{why}; {WAY_OUT}.")
        return found
    if chosen := environment.get(VARIABLE):
        raise ProviderMissing(
            f"{VARIABLE} is {chosen}, which is neither an executable AWS provider nor a mirror with one."
        )
    raise ProviderMissing(
        "No AWS provider binary is on this machine, so the embedded engine cannot deploy: download it (`make provider`)"
        f", or set {VARIABLE} to the one you have, or deploy with the Pulumi CLI (`petpark doctor --install-pulumi`, "
        "then `--engine pulumi`)."
    )
