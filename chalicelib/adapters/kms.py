"""Sealing by KMS: tokens go in and out under the context {user, purpose}, which KMS binds to the ciphertext."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib.adapters.aws_errors import aws
from chalicelib.core.ids import UserId
from chalicelib.core.tokens import PlainTokens, Sealed

MOST_BYTES = 4096
"""What KMS encrypts directly. Two Globus tokens need a few hundred."""


class KmsSealer:
    """``core.ports.tokens.Sealer``: needs kms:Encrypt on the key, no more."""

    def __init__(self, client: Callable[[], Any], key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def seal(self, plain: PlainTokens, *, user: UserId, purpose: str) -> Sealed:
        content = plain.to_bytes()
        if len(content) > MOST_BYTES:
            raise ValueError(f"tokens of {len(content)} bytes are too long to seal")
        with aws("kms"):
            answer = self._client().encrypt(
                KeyId=self._key_id, Plaintext=content, EncryptionContext=_context(user, purpose)
            )
        return Sealed(answer["CiphertextBlob"])


class KmsSeal(KmsSealer):
    """``core.ports.tokens.Seal``: needs kms:Decrypt as well. The public API and the exchange never make one."""

    def unseal(self, sealed: Sealed, *, user: UserId, purpose: str) -> PlainTokens:
        with aws("kms"):
            answer = self._client().decrypt(
                KeyId=self._key_id,
                CiphertextBlob=sealed.content,
                EncryptionContext=_context(user, purpose),
            )
        return PlainTokens.from_bytes(answer["Plaintext"])


def _context(user: UserId, purpose: str) -> dict[str, str]:
    return {"user": user, "purpose": purpose}
