"""Properties of a service, from a unit file or options of `systemd-run`. Only those that petpark uses are supported.

https://www.freedesktop.org/software/systemd/man/252/systemd.exec.html and systemd.service.html.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 5.0  # systemd's default is 90 s; no rehearsal waits so long for a process that ignores SIGTERM
TARGET = "multi-user.target"
WITHOUT_EFFECT = frozenset(
    {
        "After",
        "AmbientCapabilities",
        "CPUQuota",
        "CapabilityBoundingSet",
        "Description",
        "DynamicUser",
        "KillMode",
        "LimitNOFILE",
        "LockPersonality",
        "MemoryMax",
        "NoNewPrivileges",
        "PrivateTmp",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectSystem",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "StartLimitIntervalSec",
        "Type",
        "User",
        "Wants",
    }
)
"""Known and ignored: a rehearsed instance is one user's processes, and its units are always restarted."""


_VARIABLE = re.compile(r'^([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"\n', re.MULTILINE | re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\$`])')


class PropertyNotRehearsed(ValueError):
    """A property, or a value of one, that systemd may know but the rehearsal does not."""


@dataclass(kw_only=True)
class Service:
    """A service, as its properties define it."""

    sandbox: Path
    command: list[str] = field(default_factory=list[str])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    files: dict[str, str] = field(default_factory=dict[str, str])
    """Variables from files, which override the others."""
    directory: str = "/"
    restart: str = "no"
    restart_seconds: float = 0.1
    stop_seconds: float = STOP_SECONDS
    wanted_by: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        return {**self.environment, **self.files}

    def set(self, key: str, value: str) -> None:
        """Set one property. Raises `PropertyNotRehearsed`, and `OSError` if a file that it names is missing."""
        setters: dict[str, Callable[[str], None]] = {
            "CacheDirectory": self._set_cache,
            "Environment": lambda text: self.environment.update(assignments(self._expand(text))),
            "EnvironmentFile": self._read_environment,
            "ExecStart": self._set_command,
        }
        texts = {"Restart": "restart", "WorkingDirectory": "directory", "WantedBy": "wanted_by"}
        times = {"RestartSec": "restart_seconds", "TimeoutStopSec": "stop_seconds"}
        if key in setters:
            setters[key](value)
        elif key in texts:
            setattr(self, texts[key], self._expand(value))
        elif key in times:
            setattr(self, times[key], seconds(value))
        elif key not in WITHOUT_EFFECT:
            raise PropertyNotRehearsed(
                f"{key} is not rehearsed: see docs/design/instances.md for the properties that are."
            )

    def _set_command(self, line: str) -> None:
        if "$" in line:
            raise PropertyNotRehearsed("variables in ExecStart are not rehearsed: write the path.")
        self.command = shlex.split(self._expand(line))

    def _set_cache(self, name: str) -> None:
        folder = self.sandbox / "var" / "cache" / name
        folder.mkdir(parents=True, exist_ok=True)
        self.environment["CACHE_DIRECTORY"] = str(folder)

    def _read_environment(self, path: str) -> None:
        self.files.update(variables_of(Path(self._expand(path.removeprefix("-"))).read_text()))

    def _expand(self, text: str) -> str:
        """Replace the specifiers %C (the cache directory) and %%."""
        parts = text.split("%%")
        cache = str(self.sandbox / "var" / "cache")
        expanded = [part.replace("%C", cache) for part in parts]
        if any("%" in part.replace("%C", "") for part in parts):
            raise PropertyNotRehearsed(f"of the specifiers only %C and %% are rehearsed: {text}")
        return "%".join(expanded)


def read_unit(file: Path, *, sandbox: Path) -> Service:
    """Read a unit file. Raises `PropertyNotRehearsed` and `OSError`."""
    service = Service(sandbox=sandbox)
    for line in file.read_text().splitlines():
        text = line.strip()
        if not text or text[0] in "#;" or (text[0] == "[" and text[-1] == "]"):
            continue
        key, equals, value = text.partition("=")
        if not equals or text.endswith("\\"):
            raise PropertyNotRehearsed(f"a line of {file.name} is not rehearsed: {text}")
        service.set(key.strip(), value.strip())
    if not service.command:
        raise PropertyNotRehearsed(f"{file.name} has no ExecStart.")
    return service


def assignments(text: str) -> dict[str, str]:
    """Pairs NAME=VALUE, separated by spaces; values with spaces are quoted."""
    pairs = (word.partition("=") for word in shlex.split(text))
    return {name: value for name, _, value in pairs}


def variables_of(text: str) -> dict[str, str]:
    """Read a file of variables as `bootstrap.sh` writes it: one per line, in double quotes.

    Within them a backslash is before a double quote, a backslash, a dollar sign or a backtick, and no other is an
    escape: systemd.exec(5), EnvironmentFile=. Raises `PropertyNotRehearsed` for what is written otherwise.
    """
    left = _VARIABLE.sub("", text)
    if left.strip():
        raise PropertyNotRehearsed(f"a line of a file of variables is not rehearsed: {left.strip().splitlines()[0]}")
    return {found[1]: _ESCAPED.sub(r"\1", found[2]) for found in _VARIABLE.finditer(text)}


def seconds(text: str) -> float:
    """A time span in systemd's notation: seconds unless it has a unit."""
    for suffix, factor in (("ms", 0.001), ("min", 60.0), ("s", 1.0)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)
