"""What a site demands of who submits to it: the sign-in behind the jobs, and the life of the key.

    domains            the sign-in was by an identity of one of these domains
    mfa                with a second factor
    signed_in_within   minutes ago at most
    key_life           days for which the submitting key was made, at most

The sign-in is checked when jobs are submitted and again before a job is leased, by one rule: some identity of the
user meets all of it by one authentication. The key is checked when jobs are submitted; at a lease there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.core.consent import SessionDemand
from chalicelib.core.keys import LONGEST_DAYS
from chalicelib.core.sessions import SignInDemand
from chalicelib.core.shape import Field, Flag, Integer, ListOf, Record, Text

_DOMAIN = Text(
    longest=253, pattern=r"[a-z0-9-]+(\.[a-z0-9-]+)+", says="must be a domain in lower case, such as anl.gov"
)
SHAPE = Record(
    describe="What the site demands of its submitters",
    fields={
        "domains": Field(shape=ListOf(item=_DOMAIN, longest=20), default=()),
        "mfa": Field(shape=Flag(), default=False),
        "signed_in_within": Field(shape=Integer(least=1, most=366 * 24 * 60, describe="minutes"), default=None),
        "key_life": Field(shape=Integer(least=1, most=LONGEST_DAYS, describe="days"), default=None),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Empty, as of a site that says nothing, it lets everybody through whom the site admits."""

    domains: tuple[str, ...] = ()
    mfa: bool = False
    signed_in_within: int | None = None
    """Minutes."""
    key_life: int | None = None
    """Days."""

    def __bool__(self) -> bool:
        return bool(self.sign_in) or self.key_life is not None

    @property
    def sign_in(self) -> SignInDemand:
        """What is demanded of the sign-in, to be judged against a session."""
        age = None if self.signed_in_within is None else timedelta(minutes=self.signed_in_within)
        return SignInDemand(domains=self.domains, mfa=self.mfa, max_age=age)

    @property
    def login(self) -> SessionDemand:
        """The sign-in that meets it, from now on."""
        return SessionDemand(single_domain=self.domains, mfa=self.mfa, fresh=bool(self.sign_in))

    def takes(self, life: timedelta) -> bool:
        """Whether a key that was made for this long will do."""
        return self.key_life is None or life <= timedelta(days=self.key_life)

    def words(self) -> str:
        """What is demanded of the sign-in, for people: "by anl.gov, with a second factor, within 60 minutes"."""
        parts = [f"by an identity of {' or '.join(self.domains)}"] if self.domains else []
        parts += ["with a second factor"] if self.mfa else []
        parts += [f"not longer ago than {_span(self.signed_in_within)}"] if self.signed_in_within else []
        return ", ".join(parts)


NOTHING_DEMANDED = Demands()


def read_demands(values: Mapping[str, Any] | None) -> Demands:
    """The demands of a site document whose ``demands`` passed ``SHAPE``."""
    if values is None:
        return NOTHING_DEMANDED
    return Demands(
        domains=tuple(values["domains"]),
        mfa=values["mfa"],
        signed_in_within=values["signed_in_within"],
        key_life=values["key_life"],
    )


def demands_document(demands: Demands) -> dict[str, Any] | None:
    """The same as a document has it; None for none."""
    if not demands:
        return None
    return {
        "domains": list(demands.domains),
        "mfa": demands.mfa,
        "signed_in_within": demands.signed_in_within,
        "key_life": demands.key_life,
    }


def _span(minutes: int) -> str:
    if minutes % (24 * 60) == 0:
        return f"{minutes // (24 * 60)} days" if minutes > 24 * 60 else "a day"
    return f"{minutes} minutes"
