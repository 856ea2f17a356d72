"""The messages between the public API and its exchange function: JSON both ways, written and read here alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from chalicelib.core.bearers import Bearer
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.errors import FarSide, GrantRefused, QstageError, Refusal, SignInRefused
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.logins import SignedIn
from chalicelib.core.ports.auth import ExchangeRequest
from chalicelib.core.sessions import read_session, session_values

Message: TypeAlias = dict[str, Any]
EXCHANGE, COLLECTIONS, BEARER = "exchange", "collections", "bearer"


def exchange_message(request: ExchangeRequest) -> Message:
    """Asks to finish a login."""
    return {
        "action": EXCHANGE,
        "code": request.code,
        "verifier": request.verifier,
        "nonce": request.nonce,
        "redirect_uri": request.redirect_uri,
        "scopes": list(request.scopes),
        "for_user": request.for_user,
    }


def read_exchange(message: Message) -> ExchangeRequest:
    """Reads ``exchange_message``."""
    return ExchangeRequest(
        code=message["code"],
        verifier=message["verifier"],
        nonce=message["nonce"],
        redirect_uri=message["redirect_uri"],
        scopes=tuple(message["scopes"]),
        for_user=UserId(message["for_user"]) if message["for_user"] else None,
    )


def collections_message(ids: Iterable[CollectionId]) -> Message:
    """Asks to look collections up."""
    return {"action": COLLECTIONS, "ids": list(ids)}


def read_collections(message: Message) -> tuple[CollectionId, ...]:
    """Reads ``collections_message``."""
    return tuple(CollectionId(each) for each in message["ids"])


def signed_in_message(signed_in: SignedIn) -> Message:
    """Answers a login: who it was. There is no field for a token."""
    return {
        "user": signed_in.user,
        "username": signed_in.username,
        "name": signed_in.name,
        "email": signed_in.email,
        "auth_time": signed_in.auth_time.isoformat() if signed_in.auth_time else None,
        "scopes": list(signed_in.scopes),
        "identities": list(signed_in.identities),
        "session": session_values(signed_in.session),
    }


def read_signed_in(message: Message) -> SignedIn:
    """Reads ``signed_in_message``."""
    return SignedIn(
        user=UserId(message["user"]),
        username=message["username"],
        name=message["name"],
        email=message["email"],
        auth_time=datetime.fromisoformat(message["auth_time"]) if message["auth_time"] else None,
        scopes=tuple(message["scopes"]),
        identities=tuple(UserId(each) for each in message["identities"]),
        session=read_session(message.get("session", ())),
    )


def facts_message(facts: Mapping[CollectionId, CollectionFacts]) -> Message:
    """Answers a look-up."""
    return {
        "facts": [
            {
                "id": each.id,
                "entity_type": each.entity_type,
                "high_assurance": each.high_assurance,
                "max_age": None if each.max_age is None else each.max_age.total_seconds(),
                "mfa": each.mfa,
                "domains": list(each.domains),
                "policies": list(each.policies),
            }
            for each in facts.values()
        ]
    }


def read_facts(message: Message) -> Mapping[CollectionId, CollectionFacts]:
    """Reads ``facts_message``."""
    return {
        CollectionId(each["id"]): CollectionFacts(
            id=CollectionId(each["id"]),
            entity_type=each["entity_type"],
            high_assurance=each["high_assurance"],
            max_age=None if each.get("max_age") is None else timedelta(seconds=each["max_age"]),
            mfa=each.get("mfa", False),
            domains=tuple(each.get("domains", ())),
            policies=tuple(each.get("policies", ())),
        )
        for each in message["facts"]
    }


def bearer_message(token: str) -> Message:
    """Asks whose token a caller shows."""
    return {"action": BEARER, "token": token}


def bearer_answer(bearer: Bearer | None) -> Message:
    """Answers that; the token is not repeated."""
    if bearer is None:
        return {"bearer": None}
    return {
        "bearer": {
            "user": bearer.user,
            "username": bearer.username,
            "issued_at": bearer.issued_at.isoformat(),
            "expires_at": bearer.expires_at.isoformat(),
        }
    }


def read_bearer(message: Message) -> Bearer | None:
    """Reads ``bearer_answer``."""
    told = message["bearer"]
    if told is None:
        return None
    return Bearer(
        user=UserId(told["user"]),
        username=told["username"],
        issued_at=datetime.fromisoformat(told["issued_at"]),
        expires_at=datetime.fromisoformat(told["expires_at"]),
    )


def error_message(error: SignInRefused | FarSide) -> Message:
    """Answers with what went wrong, in words that hold no secret."""
    if isinstance(error, SignInRefused):
        return {"error": "refused", "why": error.why, "detail": error.detail, "word": error.word}
    if isinstance(error, GrantRefused):
        return {"error": "grant", "status": error.status}
    return {
        "error": "far_side",
        "service": error.service,
        "code": error.code,
        "detail": error.detail,
        "transient": error.transient,
        "retry_after": error.retry_after,
        "status": error.status,
    }


def raise_error(message: Message) -> None:
    """Raises what ``error_message`` wrote; returns if the message is no error."""
    found = _error(message)
    if found is not None:
        raise found


def _error(message: Message) -> QstageError | None:
    match message.get("error"):
        case None:
            return None
        case "refused":
            return SignInRefused(Refusal(message["why"]), message["detail"], word=message["word"])
        case "grant":
            return GrantRefused(status=message["status"])
        case _:
            return FarSide(
                message["service"],
                message["code"],
                message["detail"],
                transient=message["transient"],
                retry_after=message["retry_after"],
                status=message["status"],
            )
