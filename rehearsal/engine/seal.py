"""Encryption of what a stack keeps secret: ChaCha20-Poly1305 with a key that scrypt derives from a passphrase."""

from __future__ import annotations

import functools
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from rehearsal.engine.errors import ConfigurationRefused, StateUnreadable

SALT_BYTES = 16
_NONCE_BYTES = 12
# RFC 7914 names N=2^14 for interactive use; 2^15 costs some 0.1 s once per operation.
_COST, _BLOCK_SIZE, _PARALLEL = 2**15, 8, 1


class Seal:
    """Seals and opens the values of one stack; `salt` lies beside them in the clear."""

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
