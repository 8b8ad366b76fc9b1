"""What differs between emulators: how each is started, and what each lacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PLUGIN = Path(__file__).resolve().parent.parent / "emulator_plugin"
"""On the `PYTHONPATH` of every emulator's process: its starter, and what restores AWS's behaviour inside it."""


@dataclass(frozen=True, kw_only=True)
class EmulatorPaths:
    """Where one emulator runs: its address, its region, and the folders for everything that it writes."""

    host: str
    port: int
    region: str
    enforce_iam: bool
    folders: Mapping[str, Path]

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """A behaviour of AWS that petpark relies on and the emulator does not have.

    `behaviour` completes the sentence "it lacks …". `tests` are the contract tests that show it, as `file.py::test`
    below `tests/rehearsal/emulator`: each must fail, and fails the suite when it passes. `fix` says what would
    restore it. `sign` is what the error of a rehearsal that ends for it contains.
    """

    behaviour: str
    tests: tuple[str, ...]
    fix: str
    sign: str = ""


@dataclass(frozen=True, kw_only=True)
class Product:
    """An emulator of AWS that petpark can start."""

    key: str
    name: str
    distribution: str
    environment: str
    """Folder of its virtual environment, below the repository."""
    setup: str
    """The command that builds that environment."""
    starter: str
    """The module of `emulator_plugin` that `python -m` runs."""
    settings: Callable[[EmulatorPaths], Mapping[str, str]]
    """Environment variables that it needs, in addition to those that every emulator gets."""
    lacks: tuple[Lacking, ...] = ()

    def explain(self, error: str) -> Lacking | None:
        """The missing behaviour that this error shows, if known."""
        return next((lacking for lacking in self.lacks if lacking.sign and lacking.sign in error), None)


def optional(
    name: str, *, settings: Callable[[EmulatorPaths], Mapping[str, str]], lacks: tuple[Lacking, ...]
) -> Product:
    """Describe an emulator other than the default: everything that belongs to it is named after it."""
    key = name.lower()
    return Product(
        key=key,
        name=name,
        distribution=key,
        environment=f".venv-{key}",
        setup=f"make setup-emulator EMULATOR={key}",
        starter=f"petpark_{key}",
        settings=settings,
        lacks=lacks,
    )


def without_docker(place: EmulatorPaths) -> dict[str, str]:
    """Point an emulator at a Docker that does not exist, so that it uses none that runs here."""
    return {"DOCKER_HOST": f"unix://{place.folders['state'] / 'no-docker'}"}
