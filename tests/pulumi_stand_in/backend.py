"""The CLI's files: login, the backend's folder, the selected stack, and the stack's settings."""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.pulumi_stand_in.settings import rewritten

_SALT = re.compile(r"^encryptionsalt: (?P<salt>.+)$", re.MULTILINE)
_NO_STACK = 6
_ROUNDS = 1000  # the CLI takes a million; nobody guesses at a test's passphrase


class CommandFailed(Exception):
    """The command ends with `error: <message>` and an exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Project:
    """The folder with Pulumi.yaml, at or above the current one."""

    root: Path
    name: str

    @classmethod
    def here(cls) -> Project:
        """The project of the current folder; raises `CommandFailed` outside of one."""
        here = Path.cwd()
        for folder in (here, *here.parents):
            file = folder / "Pulumi.yaml"
            if file.is_file():
                return cls(root=folder, name=yaml.safe_load(file.read_text())["name"])
        raise CommandFailed(
            "no Pulumi.yaml project file found (searching upwards from "
            f"{here}). If you have not created a project yet, use `pulumi new` to do so"
        )

    def settings(self, stack: str) -> Path:
        """The stack's settings file."""
        return self.root / f"Pulumi.{stack}.yaml"


class Backend:
    """A file backend: PULUMI_BACKEND_URL, or the one that `login` chose."""

    def __init__(self) -> None:
        home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        self._credentials = home / "credentials.json"
        self._workspaces = home / "workspaces"

    @property
    def url(self) -> str:
        """Returns the backend's URL. Raises `CommandFailed` without login."""
        url = os.environ.get("PULUMI_BACKEND_URL") or self._current()
        if not url:
            raise CommandFailed("PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions")
        return url

    @property
    def folder(self) -> Path:
        """The state's folder; raises `CommandFailed` for any backend but a folder that exists."""
        parts = urlparse(self.url)
        if parts.scheme != "file":
            raise CommandFailed(f"the stand-in knows file:// backends only, not {self.url}")
        folder = Path(unquote(parts.netloc + parts.path)).expanduser()
        if not folder.is_dir():
            raise CommandFailed(
                f'read ".pulumi/meta.yaml": problem logging in: unable to open bucket {self.url}: '
                f"stat {folder}: no such file or directory"
            )
        return folder / ".pulumi"

    @property
    def user(self) -> str:
        """Who is logged in, as a file backend has it: the name on this machine."""
        return getpass.getuser()

    def login(self, url: str) -> None:
        """Choose a backend."""
        self._credentials.parent.mkdir(parents=True, exist_ok=True)
        self._credentials.write_text(json.dumps({"current": url}))
        _ = self.folder

    def logout(self) -> None:
        """Forget the backend."""
        self._credentials.unlink(missing_ok=True)

    def _current(self) -> str:
        return json.loads(self._credentials.read_text())["current"] if self._credentials.exists() else ""

    # --- stacks -------------------------------------------------------------------------------------------------------

    def stacks(self, project: Project) -> list[str]:
        """Names of the project's stacks."""
        return sorted(file.stem for file in (self.folder / "stacks" / project.name).glob("*.json"))

    def create(self, project: Project, stack: str) -> None:
        """Begin a stack; raises `CommandFailed` if there is one, or without a passphrase."""
        if stack in self.stacks(project):
            raise CommandFailed(f"stack 'organization/{project.name}/{stack}' already exists")
        unlock(project.settings(stack))
        self.write(project, stack, {"resources": [], "outputs": {}, "secrets": [], "history": []})

    def read(self, project: Project, stack: str) -> dict[str, Any]:
        """What is recorded of a stack; raises `CommandFailed` if there is none."""
        file = self._file(project, stack)
        if not file.exists():
            raise CommandFailed(f"no stack named '{stack}' found", _NO_STACK)
        return json.loads(file.read_text())

    def write(self, project: Project, stack: str, content: Mapping[str, Any]) -> None:
        """Record a stack."""
        file = self._file(project, stack)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2))

    def remove(self, project: Project, stack: str) -> None:
        """Forget a stack."""
        self._file(project, stack).unlink()

    def _file(self, project: Project, stack: str) -> Path:
        return self.folder / "stacks" / project.name / f"{stack}.json"

    def lock(self, project: Project, stack: str) -> Path:
        """The stack's lock while an operation runs."""
        return self.folder / "locks" / "organization" / project.name / stack / "lock.json"

    def select(self, project: Project, stack: str | None) -> None:
        """Choose the stack that commands without --stack act on."""
        file = self._selection(project)
        if stack is None:
            file.unlink(missing_ok=True)
        else:
            self._workspaces.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"stack": stack}))

    def selected(self, project: Project) -> str | None:
        """The chosen stack."""
        file = self._selection(project)
        return json.loads(file.read_text())["stack"] if file.exists() else None

    def _selection(self, project: Project) -> Path:
        digest = hashlib.sha1(str(project.root / "Pulumi.yaml").encode()).hexdigest()
        return self._workspaces / f"{project.name}-{digest}-workspace.json"


def unlock(settings: Path) -> None:
    """Check the passphrase against the stack's salt; write a salt where the settings have none.

    Raises `CommandFailed` without a passphrase, or with another one.
    """
    passphrase = _passphrase()
    text = settings.read_text() if settings.exists() else ""
    found = _SALT.search(text)
    if found is None:
        salt = secrets.token_bytes(8)
        nonce = secrets.token_bytes(12)
        sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, b"pulumi", None)
        parts = (_b64(salt), "v1", f"{_b64(nonce)}", _b64(sealed))
        settings.write_text(f"{rewritten(text)}encryptionsalt: v1:{':'.join(parts)}\n")
        return
    _, salt, _, nonce, sealed = found["salt"].strip().strip("'\"").split(":")
    try:
        AESGCM(_key(passphrase, base64.b64decode(salt))).decrypt(
            base64.b64decode(nonce), base64.b64decode(sealed), None
        )
    except InvalidTag:
        raise CommandFailed("incorrect passphrase") from None


def _passphrase() -> str:
    if file := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return Path(file).read_text().strip()
    passphrase = os.environ.get("PULUMI_CONFIG_PASSPHRASE")
    if passphrase is None:
        raise CommandFailed(
            "passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment "
            "variables"
        )
    return passphrase


def _key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, _ROUNDS, 32)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
