"""Signs id tokens as Globus does: RS512, with one key that is made at start and published at ``/jwk.json``."""

from __future__ import annotations

import base64
import functools
import hashlib

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.globus.errors import Document


@functools.cache
def _shared_key() -> rsa.RSAPrivateKey:
    """One key a process: making it is slow, and what it signs never leaves the machine."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Signer:
    def sign(self, claims: Document) -> str:
        return jwt.encode(claims, _shared_key(), algorithm="RS512")

    def published(self) -> Document:
        numbers = _shared_key().public_key().public_numbers()
        key = {
            "alg": "RS512",
            "e": _unsigned(numbers.e),
            "kty": "RSA",
            "n": _unsigned(numbers.n),
            "use": "sig",
        }
        return {"keys": [key]}


def at_hash(access_token: str) -> str:
    """The left half of the access token's SHA-512, which binds an id token to it (OpenID Connect Core 3.1.3.6)."""
    digest = hashlib.sha512(access_token.encode()).digest()
    return _encoded(digest[: len(digest) // 2])


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636, 4.2)."""
    return _encoded(hashlib.sha256(verifier.encode()).digest())


def _unsigned(number: int) -> str:
    return _encoded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
