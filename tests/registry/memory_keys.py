"""A signing key in memory and its verifier; they do not prove who signed."""

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from securesystemslib.signer import (
    CryptoSigner,  # pyright: ignore[reportPrivateImportUsage] — the library exports without `__all__` entries pyright sees
    Key,  # pyright: ignore[reportPrivateImportUsage]
    SSlibKey,  # pyright: ignore[reportPrivateImportUsage]
)


class MemorySigner(CryptoSigner):
    """A fresh key in this process's memory."""

    def __init__(self) -> None:
        private_key = generate_private_key(SECP256R1())
        super().__init__(private_key, SSlibKey.from_crypto(private_key.public_key()))


class MemoryVerifier:
    """Verifies signatures of `signer`."""

    def __init__(self, signer: MemorySigner) -> None:
        self.key: Key = signer.public_key
