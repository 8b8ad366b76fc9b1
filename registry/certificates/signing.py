"""Keys in KMS that sign and verify certificates.

securesystemslib's own AWSSigner builds its client from the ambient environment and cannot be given one; ours takes a
client, so that region, endpoint, credentials and deadlines are decided at the entry point. The rest is the library's.
"""

from typing import TYPE_CHECKING, Protocol, Self, override

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.serialization import load_der_public_key
from securesystemslib.signer import (
    Key,  # pyright: ignore[reportPrivateImportUsage] — the library exports without `__all__` entries pyright sees
    SecretsHandler,  # pyright: ignore[reportPrivateImportUsage]
    Signature,  # pyright: ignore[reportPrivateImportUsage]
    Signer,  # pyright: ignore[reportPrivateImportUsage]
    SSlibKey,  # pyright: ignore[reportPrivateImportUsage]
)

from registry.errors import KeyUnavailable, StatementTooLong

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

KMS_MESSAGE_BYTES = 4096
_SCHEME = "ecdsa-sha2-nistp256"


class Verifier(Protocol):
    """Verifies signatures with the public key."""

    @property
    def key(self) -> Key:
        """The public key; KeyUnavailable."""
        ...


class KmsVerifier:
    """Fetches the key's public half once (kms:GetPublicKey) and verifies on this machine from then on."""

    def __init__(self, client: "KMSClient", key_arn: str) -> None:
        self._client = client
        self._key_arn = key_arn
        self._key: Key | None = None

    @property
    def key(self) -> Key:
        """The public key; KeyUnavailable if it cannot be had or is not an ECC_NIST_P256 key."""
        self._key = self._key or self._fetch()
        return self._key

    def _fetch(self) -> Key:
        try:
            der = self._client.get_public_key(KeyId=self._key_arn)["PublicKey"]
        except (BotoCoreError, ClientError, KeyError) as error:  # KeyError: something else answered in KMS's place
            raise KeyUnavailable(self._key_arn, str(error)) from error
        try:
            key = SSlibKey.from_crypto(load_der_public_key(der))
        except ValueError as error:
            raise KeyUnavailable(self._key_arn, str(error)) from error
        if key.scheme != _SCHEME:
            raise KeyUnavailable(self._key_arn, f"a key for {key.scheme}")
        return key


class KmsSigner(Signer):
    """Signs with a KMS key (kms:Sign), which never leaves KMS; CloudTrail records the caller."""

    def __init__(self, client: "KMSClient", key_arn: str) -> None:
        self._client = client
        self._key_arn = key_arn
        self._verifier = KmsVerifier(client, key_arn)

    @classmethod
    @override
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Self:
        """Not offered: a client is needed, and a URI cannot carry one."""
        raise NotImplementedError("KmsSigner(client, key_arn) is the only way to make one")

    @property
    @override
    def public_key(self) -> Key:
        return self._verifier.key

    @override
    def sign(self, payload: bytes) -> Signature:
        """The signature; StatementTooLong, KeyUnavailable.

        The message goes to KMS whole rather than as a digest, so that KMS is the one that hashes what it signs.
        https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
        """
        if len(payload) > KMS_MESSAGE_BYTES:
            raise StatementTooLong(len(payload), KMS_MESSAGE_BYTES)
        try:
            answer = self._client.sign(
                KeyId=self._key_arn, Message=payload, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
            )
            signature = answer["Signature"].hex()
        except (BotoCoreError, ClientError, KeyError) as error:
            raise KeyUnavailable(self._key_arn, str(error)) from error
        return Signature(self.public_key.keyid, signature)
