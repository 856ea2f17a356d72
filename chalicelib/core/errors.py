"""Everything qstage refuses or reports, in one tree, split by whose fault it is.

    QstageError
    ├── CallerError            the request is at fault; asking again unchanged cannot help
    │   ├── Invalid            its content, every fault named at once
    │   ├── Unauthenticated    no credential, or one that is not (any longer) good
    │   ├── Forbidden          a good credential that does not reach this far
    │   ├── NotFound           no such thing, or none that this caller may know of
    │   ├── Conflict           right in itself, but not with what is stored
    │   │   └── InFlight       the same request is being answered at this moment
    │   ├── TooMany            a limit, with the figure
    │   └── NoKeyYet           a poll of the device flow that brings no key (yet)
    ├── UserMustAct            only the person can help
    │   ├── LoginNeeded        by signing in (again); says what that login must bring
    │   └── SignInRefused      a sign-in that did not come to its end; says what to tell the person
    └── FarSide                Globus or AWS said no, or nothing; ``transient`` tells which kind of no
        └── GrantRefused       Globus Auth no longer takes a code or a refresh token (``invalid_grant``)

What is our own fault is not here: it is left to crash, so that it is seen and alarmed on.
No HTTP status is named here (``api.problems`` has the one table), and no URL: a link is made at the edge,
by who knows the address. No message holds a token, a code, a key or a secret.
"""

# The names are the words of the rules they state; "Error" at the end of each would say nothing more.

from __future__ import annotations

import enum
from dataclasses import dataclass

from chalicelib.core.consent import NOTHING, LoginDemand, LoginReason, SessionDemand
from chalicelib.core.ids import UserId


class DeviceWord(enum.StrEnum):
    """What a device poll can hear instead of a key (RFC 8628, section 3.5)."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED = "expired_token"
    DENIED = "access_denied"


class Refusal(enum.StrEnum):
    """Why a sign-in did not come to its end; each has a page of its own."""

    EXPIRED = "expired"
    """The link is unknown, used, too old, or was opened in another browser than it began in."""
    DENIED = "denied"
    """The person said no on the consent page."""
    OTHER_IDENTITY = "other_identity"
    """The link was made for one person and completed by another."""
    NOT_ALLOWED = "not_allowed"
    """This deployment does not let this identity sign in."""
    PROVIDER = "provider"
    """Globus Auth or the identity provider failed, or answered what cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: where (a JSON pointer, "" for the whole) and what, in words."""

    pointer: str
    detail: str


class QstageError(Exception):
    """What qstage raises on purpose. ``detail`` is a sentence for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class CallerError(QstageError):
    """The request is at fault. ``code`` is the stable word that programs match on."""

    code = "refused"


class Invalid(CallerError):
    """The content of a request breaks rules; all of them are listed."""

    code = "invalid"

    def __init__(self, faults: tuple[Fault, ...], *, code: str = "invalid") -> None:
        super().__init__("; ".join(f"{f.pointer}: {f.detail}" if f.pointer else f.detail for f in faults))
        self.faults = faults
        self.code = code


class Unauthenticated(CallerError):
    """The caller is not known. Never says which part of a credential was wrong."""

    code = "unauthenticated"


class Forbidden(CallerError):
    """The caller is known and may not do this."""

    code = "forbidden"

    def __init__(self, detail: str, *, code: str = "forbidden") -> None:
        super().__init__(detail)
        self.code = code


class NotFound(CallerError):
    """There is no such thing, or it belongs to someone else: the two look alike on purpose."""

    code = "not-found"


class Conflict(CallerError):
    """The request contradicts what is stored. ``retry_after`` (seconds) if waiting can help."""

    def __init__(self, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.retry_after = retry_after


class InFlight(Conflict):
    """The first request under the same Idempotency-Key has not been answered yet."""

    def __init__(
        self, detail: str = "A request with this Idempotency-Key is being answered.", *, retry_after: int = 2
    ) -> None:
        super().__init__("in-flight", detail, retry_after=retry_after)


class TooMany(CallerError):
    """A limit was reached; ``detail`` names the figure, ``retry_after`` is in seconds."""

    code = "too-many"

    def __init__(self, detail: str, retry_after: int = 60, *, code: str = "too-many") -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.code = code


class NoKeyYet(CallerError):
    """An answer to a device poll in the words of RFC 8628 section 3.5; ``word`` is the ``error`` member."""

    code = "no-key-yet"

    def __init__(self, word: DeviceWord, detail: str) -> None:
        super().__init__(detail)
        self.word = word


class UserMustAct(QstageError):
    """Nothing moves until the person does something."""


class LoginNeeded(UserMustAct):
    """The user has to sign in (again) before qstage can act for them. ``demand`` is the same, to be stored.

    ``user`` is whom the link is for, where that is known.
    """

    def __init__(
        self,
        reason: LoginReason,
        detail: str,
        *,
        scopes: tuple[str, ...] = (),
        session: SessionDemand | None = None,
        user: UserId | None = None,
    ) -> None:
        super().__init__(detail)
        self.user = user
        self.demand = LoginDemand(reason=reason, detail=detail, scopes=scopes, session=session or NOTHING)

    @property
    def reason(self) -> LoginReason:
        return self.demand.reason

    @property
    def scopes(self) -> tuple[str, ...]:
        return self.demand.scopes

    @property
    def session(self) -> SessionDemand:
        return self.demand.session


class SignInRefused(UserMustAct):
    """A sign-in that ends without a login.

    ``word`` is the provider's own error code, if it gave one; ``again`` is the query of a login link that
    tries the same once more, "" if nothing is known of the attempt.
    """

    def __init__(self, why: Refusal, detail: str, *, word: str = "", again: str = "") -> None:
        super().__init__(detail)
        self.why = why
        self.word = word
        self.again = again


class FarSide(QstageError):
    """A service that qstage depends on refused, failed or did not answer.

    ``transient`` is True if the same call may succeed later with nothing changed (no answer, overload, time
    out); ``retry_after`` is the seconds the service asked for. ``code`` is the service's own word for it;
    ``status`` is the HTTP status, None when no answer came.
    """

    def __init__(
        self,
        service: str,
        code: str,
        detail: str,
        *,
        transient: bool,
        retry_after: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.service = service
        self.code = code
        self.transient = transient
        self.retry_after = retry_after
        self.status = status

    def __str__(self) -> str:
        return f"{self.service}: {self.code}: {self.detail}"


class GrantRefused(FarSide):
    """Globus Auth answered ``invalid_grant``: asking again with the same code or refresh token is useless."""

    def __init__(self, *, status: int | None = None) -> None:
        super().__init__("auth", "invalid_grant", "Globus Auth refused the grant.", transient=False, status=status)
