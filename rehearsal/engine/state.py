"""A stack's state: one JSON file, locked, encrypted where it is secret, replaced atomically at every step.

At every moment the file on disk is a complete state: a temporary file is written, synced, and renamed into place. A
crash can lose at most the end of steps in flight, and those are marked as pending before they begin.
"""

import base64
import fcntl
import functools
import json
import os
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from rehearsal.engine.errors import ConfigurationRefused, StackBusy, StateUnreadable
from rehearsal.engine.values import Fields, Properties

STACK_TYPE = "pulumi:pulumi:Stack"

_FORMAT = 2
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_SALT_BYTES, _NONCE_BYTES = 16, 12
# RFC 7914 names N=2^14 for interactive use; 2^15 costs some 0.1 s once per operation.
_COST, _BLOCK_SIZE, _PARALLEL = 2**15, 8, 1


class Seal:
    """Encrypts values of one stack (ChaCha20-Poly1305); scrypt derives the key from a passphrase and `salt`."""

    def __init__(self, passphrase: str, salt: bytes) -> None:
        if not passphrase:
            raise ConfigurationRefused(
                "The engine needs a passphrase to encrypt secrets in the state: set PULUMI_CONFIG_PASSPHRASE."
            )
        self.salt = salt
        self._cipher = ChaCha20Poly1305(_derive(passphrase, salt))

    def close(self, data: bytes, *, context: str) -> bytes:
        """`data` sealed; it opens only under the same `context` (where it belongs)."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """The data that was sealed; raises `StateUnreadable` for another passphrase, another place, or damage."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise StateUnreadable(
                f"The secrets of {context} cannot be decrypted: the passphrase differs from the one the stack was "
                "deployed with, or the state file was changed. Give the first passphrase, or start a new state "
                "directory."
            ) from error


@functools.lru_cache(maxsize=8)
def _derive(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST, r=_BLOCK_SIZE, p=_PARALLEL).derive(passphrase.encode())


def short_type(token: str) -> str:
    """`aws:s3/bucket:Bucket` as people say it: `s3.Bucket`; other types as they are."""
    package, _, rest = token.partition(":")
    module, _, name = rest.partition(":")
    return f"{module.split('/')[0]}.{name}" if package == "aws" and name else token


@dataclass(frozen=True, kw_only=True)
class ProviderState:
    """A provider resource as the provider last returned it."""

    terraform: str
    version: int  # of the schema
    fields: Fields
    private: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One resource of a stack. `provider_state` is None for components, and until a creation has ended.

    `pending` is a step that was begun and not yet seen to end, and `planned` what a pending creation would make, by
    which it is found again. `secrets` names the properties that are secret; `outputs` are those of components and the
    stack (a provider resource's follow from `provider_state`).
    """

    urn: str
    type: str
    name: str
    parent: str = ""
    custom: bool = True
    id: str = ""
    inputs: Fields = field(default_factory=dict)
    outputs: Fields = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    autonamed: str = ""  # the input that the engine named
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    retain: bool = False
    tainted: bool = False
    pending: Literal["", "create", "update", "delete"] = ""
    planned: Fields = field(default_factory=dict)
    provider_state: ProviderState | None = None

    @property
    def label(self) -> str:
        """For people: `s3.Bucket photos`."""
        return f"{short_type(self.type)} {self.name}"

    def settled(self, **changes: Any) -> Self:
        """A copy with `changes` and nothing pending."""
        return replace(self, pending="", planned={}, **changes)


# What may carry secrets; sealed as one when the record has any.
_BODY = ("id", "inputs", "outputs", "planned", "provider_state")


def to_json(record: Record, seal: Seal) -> str:
    """The record as JSON text; everything that could contain a secret is sealed if the record has one."""
    fields = asdict(record)
    fields["secrets"] = sorted(record.secrets)
    if record.provider_state is not None:
        fields["provider_state"]["private"] = base64.b64encode(record.provider_state.private).decode()
    if record.secrets:
        body = json.dumps({name: fields.pop(name) for name in _BODY})
        fields["sealed"] = base64.b64encode(seal.close(body.encode(), context=record.urn)).decode()
    return json.dumps(fields)


def from_json(fields: dict[str, Any], seal: Seal) -> Record:
    """The record that `to_json` wrote; raises `StateUnreadable` when it is not one or cannot be opened."""
    try:
        if (sealed := fields.pop("sealed", None)) is not None:
            fields |= json.loads(seal.open(base64.b64decode(sealed), context=fields["urn"]))
        if (raw := fields["provider_state"]) is not None:
            fields["provider_state"] = ProviderState(**raw | {"private": base64.b64decode(raw["private"])})
        fields["secrets"] = frozenset(fields["secrets"])
        fields["dependencies"] = tuple(fields["dependencies"])
        fields["property_dependencies"] = {k: tuple(v) for k, v in fields["property_dependencies"].items()}
        return Record(**fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateUnreadable(f"A resource in the state file is damaged: {error}.") from error


def state_file(directory: Path, project: str, stack: str) -> Path:
    """The path of the state of `stack` below the state directory."""
    for name in (project, stack):
        if not _NAME.fullmatch(name) or name.startswith("."):
            raise ConfigurationRefused(f"{name!r} cannot name a project or stack: use letters, digits, '-', '_', '.'.")
    return directory / project / f"{stack}.json"


@contextmanager
def locked(file: Path) -> Generator[None]:
    """Hold the stack whose state is `file`; raises `StackBusy` if another operation does."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 100, 0).decode(errors="replace").strip() or "unknown"
            raise StackBusy(
                f"Another operation works on stack {file.stem} (process {holder}). Wait until it ends, or end it with "
                f"Ctrl-C or `kill {holder}`; the lock ends with it."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


class State:
    """The resources and outputs of one stack; every method may be called from any thread."""

    def __init__(self, file: Path, *, passphrase: str, writable: bool = True) -> None:
        """Read `file`, or begin an empty state if there is none."""
        self._file = file
        self._writable = writable
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._changes = 0
        self._written = 0
        self._texts: dict[int, tuple[Record, str]] = {}
        raw = _load(file)
        self.exists = raw is not None
        raw = raw or {"salt": base64.b64encode(os.urandom(_SALT_BYTES)).decode(), "serial": 0}
        self._seal = Seal(passphrase, base64.b64decode(raw["salt"]))
        self._serial: int = raw["serial"]
        self._resources = {r.urn: r for r in (from_json(f, self._seal) for f in raw.get("resources", []))}
        self._pending_deletes = [from_json(f, self._seal) for f in raw.get("pending_deletes", [])]

    @property
    def resources(self) -> dict[str, Record]:
        """A copy of what exists, by URN, in the order in which it was first registered."""
        with self._lock:
            return dict(self._resources)

    @property
    def pending_deletes(self) -> list[Record]:
        """A copy of what was replaced and still has to be deleted."""
        with self._lock:
            return list(self._pending_deletes)

    def get(self, urn: str) -> Record | None:
        """The record of `urn`, if there is one."""
        with self._lock:
            return self._resources.get(urn)

    def put(self, record: Record, *, instead_of: Record | None = None) -> None:
        """Set a record in memory, under its own URN; `instead_of` is the record whose URN it leaves."""
        with self._lock:
            if self._resources.get(record.urn) == record:
                return
            self._changes += 1
            if instead_of is not None and instead_of.urn != record.urn:
                self._resources.pop(instead_of.urn, None)
            self._resources[record.urn] = record

    def forget(self, record: Record) -> None:
        """Drop a record in memory, be it in use or pending deletion."""
        with self._lock:
            self._changes += 1
            if self._resources.get(record.urn) is record:
                del self._resources[record.urn]
            self._pending_deletes = [other for other in self._pending_deletes if other is not record]

    def mark_for_deletion(self, record: Record) -> None:
        """Move a record in memory from use to pending deletion; what replaces it comes under the same URN."""
        with self._lock:
            self.forget(record)
            self._pending_deletes.append(record)

    def swap(self, old: Record, new: Record) -> None:
        """Set `new` in memory where `old` is, in use or pending deletion."""
        with self._lock:
            self._changes += 1
            if self._resources.get(old.urn) is old:
                self._resources[old.urn] = new
            self._pending_deletes = [new if other is old else other for other in self._pending_deletes]

    def save(self) -> None:
        """Write every change made so far; returns when it is on disk. Nothing to write costs nothing."""
        if not self._writable:
            return
        with self._lock:
            wanted = self._changes
        with self._writing:
            if self._written >= wanted and self.exists:
                return  # another thread has written our change along with its own
            with self._lock:
                changes, text = self._changes, self._render()
            _replace(self._file, text)
            self._written, self.exists = changes, True

    def outputs(self) -> Properties:
        """The stack's outputs, as of the last update that finished."""
        with self._lock:
            stack = next((r for r in self._resources.values() if r.type == STACK_TYPE), None)
        return Properties(values=stack.outputs if stack else {}, secrets=stack.secrets if stack else frozenset())

    def _render(self) -> str:
        self._serial += 1
        header = {"format": _FORMAT, "serial": self._serial, "salt": base64.b64encode(self._seal.salt).decode()}
        lines = json.dumps(header)[:-1]
        # One line a resource: a state that people can read and compare.
        resources = ",\n".join(self._text(record) for record in self._resources.values())
        pending_deletes = ",\n".join(self._text(record) for record in self._pending_deletes)
        alive = {id(record) for record in (*self._resources.values(), *self._pending_deletes)}
        self._texts = {key: kept for key, kept in self._texts.items() if key in alive}
        return f'{lines},\n"resources": [\n{resources}\n],\n"pending_deletes": [\n{pending_deletes}\n]}}\n'

    def _text(self, record: Record) -> str:
        """The record's text, kept as long as the record: encrypting it again would change every line at every step."""
        # The record is kept with its text, so that no other object can get its id.
        if id(record) not in self._texts:
            self._texts[id(record)] = (record, to_json(record, self._seal))
        return self._texts[id(record)][1]


def _load(file: Path) -> dict[str, Any] | None:
    try:
        raw: Any = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateUnreadable(f"The state file {file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise StateUnreadable(
            f"The state file {file} is not JSON; restore it, or delete it and start again."
        ) from error
    found = raw.get("format") if isinstance(raw, dict) else None
    if type(found) is int and found != _FORMAT:
        wrote = "An earlier" if found < _FORMAT else "A later"
        raise StateUnreadable(
            f"{wrote} version of petpark wrote the state file {file} (format {found}; this version reads {_FORMAT}). "
            "Destroy the stack with that version. Or delete the file and start again; its resources then remain."
        )
    if type(found) is not int or not _is_whole(raw):
        raise StateUnreadable(f"The state file {file} is damaged; restore it, or delete it and start again.")
    return raw


def _is_whole(raw: dict[str, Any]) -> bool:
    """Whether a state file has what `State` reads of it, resources aside."""
    try:
        base64.b64decode(raw["salt"], validate=True)
    except (KeyError, TypeError, ValueError):
        return False
    lists = (raw.get(name, []) for name in ("resources", "pending_deletes"))
    return type(raw.get("serial")) is int and all(
        isinstance(each, list) and all(isinstance(one, dict) for one in each) for each in lists
    )


def _replace(file: Path, text: str) -> None:
    temporary = file.with_suffix(".tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
