"""Sealing tokens by KMS, and reading the client's secret: moto stands for AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError  # type: ignore[import-untyped]

from chalicelib.adapters.aws_errors import aws
from chalicelib.adapters.kms import MOST_BYTES, KmsSeal, KmsSealer
from chalicelib.adapters.secrets import GlobusSecret
from chalicelib.core.errors import FarSide
from chalicelib.core.ids import UserId
from chalicelib.core.tokens import PURPOSE, PlainTokens, Sealed
from emulators.aws.locked import locked_moto

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
ADA, BOB = UserId("ada"), UserId("bob")
PLAIN = PlainTokens(access_token="acc-" + "a" * 300, refresh_token="ref-" + "r" * 300, expires_at=NOW)


def client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture
def seal() -> Iterator[KmsSeal]:
    with locked_moto():
        kms = client("kms")
        yield KmsSeal(lambda: kms, kms.create_key()["KeyMetadata"]["KeyId"])


def test_tokens_open_under_the_context_they_were_sealed_in(seal: KmsSeal) -> None:
    sealed = seal.seal(PLAIN, user=ADA, purpose=PURPOSE)
    assert b"acc-" not in sealed.content
    assert b"ref-" not in sealed.content
    assert seal.unseal(sealed, user=ADA, purpose=PURPOSE) == PLAIN


def test_tokens_open_for_no_other_user_and_no_other_purpose(seal: KmsSeal) -> None:
    sealed = seal.seal(PLAIN, user=ADA, purpose=PURPOSE)
    for user, purpose in ((BOB, PURPOSE), (ADA, "other")):
        with pytest.raises(ClientError, match="InvalidCiphertextException"):
            seal.unseal(sealed, user=user, purpose=purpose)


def test_sealed_tokens_that_were_touched_do_not_open(seal: KmsSeal) -> None:
    sealed = seal.seal(PLAIN, user=ADA, purpose=PURPOSE)
    touched = Sealed(sealed.content[:-1] + bytes([sealed.content[-1] ^ 1]))
    with pytest.raises(ClientError):
        seal.unseal(touched, user=ADA, purpose=PURPOSE)


def test_tokens_too_long_for_kms_are_an_error_without_them(seal: KmsSeal) -> None:
    long = PlainTokens(access_token="s3cret" * MOST_BYTES, refresh_token=None, expires_at=NOW)
    with pytest.raises(ValueError, match="too long") as error:
        seal.seal(long, user=ADA, purpose=PURPOSE)
    assert "s3cret" not in str(error.value)


def test_what_only_seals_cannot_open() -> None:
    assert not hasattr(KmsSealer, "unseal")


class TurnedByHand:
    at = NOW

    def now(self) -> datetime:
        return self.at


def test_the_clients_secret_is_read_when_needed_and_again_after_minutes() -> None:
    with locked_moto():
        manager, clock = client("secretsmanager"), TurnedByHand()
        manager.create_secret(Name="globus", SecretString=json.dumps({"client_id": "c", "client_secret": "s-1"}))
        secret = GlobusSecret(lambda: manager, "globus", clock)
        assert secret().client_secret == "s-1"
        manager.put_secret_value(SecretId="globus", SecretString=json.dumps({"client_id": "c", "client_secret": "s-2"}))
        assert secret().client_secret == "s-1"
        clock.at += timedelta(minutes=5)
        assert (secret().client_id, secret().client_secret) == ("c", "s-2")
        assert "s-2" not in repr(secret())


@pytest.mark.parametrize("code", ["ThrottlingException", "KMSInternalException"])
def test_aws_failing_for_the_moment_is_the_far_side(code: str) -> None:
    with pytest.raises(FarSide) as error, aws("kms"):
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "Decrypt")
    assert (error.value.transient, error.value.code) == (True, code)


def test_no_connection_to_aws_is_the_far_side() -> None:
    with pytest.raises(FarSide) as error, aws("kms"):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    assert error.value.transient


def test_a_refusal_of_aws_is_our_own_fault() -> None:
    with pytest.raises(ClientError), aws("kms"):
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "Decrypt")
