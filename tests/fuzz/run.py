"""Fuzz one target, guided by coverage: `python tests/fuzz/run.py TARGET FOLDER [libFuzzer's options]`.

Needs atheris (https://github.com/google/atheris), which petpark itself does not: `uv pip install atheris` into an
environment of its own, with petpark's beside it on PYTHONPATH. FOLDER, outside of the repository, keeps what was found
to reach new code; a finding is written to `crash-*`: make it small and add it to `tests/fuzz/corpus/TARGET/`.
"""

import importlib
import random
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CODE = [
    "camera",
    "imaging",
    "registry",
    "serving",
    "training",
    "petpark",
    "python_multipart",
    "tarfile",
    "zipfile",
    "rfc8785",
]


def main() -> None:
    """Fuzz until libFuzzer's options say to stop, or something is found."""
    atheris = importlib.import_module("atheris")
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=CODE):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    name, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets[name].seeds()):
        (folder / f"seed-{number}").write_bytes(seed)
    arguments = [sys.argv[0], str(folder), *sys.argv[3:]]
    if (mutate := targets[name].mutate) is None:
        atheris.Setup(arguments, targets[name].play)
    else:
        atheris.Setup(arguments, targets[name].play, custom_mutator=_mutator(mutate))
    atheris.Fuzz()


def _mutator(mutate: Any) -> Any:
    """By turns: bytes changed at random, what the target would change, and both.

    libFuzzer's own changes cannot be called from here: atheris 3.1 refuses `Mutate` under `Fuzz`.
    """
    by_bytes = importlib.import_module("tests.fuzz.mutate").by_bytes

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        source = random.Random(seed)
        way = source.randrange(3)
        changed = data if way == 1 else by_bytes(data, source)
        return (changed if way == 0 else mutate(changed, source))[:most]

    return mutated


if __name__ == "__main__":
    main()
