"""What a user wants of a job that its scheduler has: an order to the job's site, until the site has answered it.

Of two orders about the same matter the newer takes the older one's place: the older may have been carried out, or
may be on its way, so each has a number, and the answer to one that is no longer wanted ends nothing. It still tells
what is so at the scheduler, and that is written down. Only an answer changes what the job is said to be.

A run ends every order that stands: there is nothing left to hold or to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Terms = Mapping[str, Any]
"""Values by the names of TERMS."""

TERMS: Mapping[str, str] = {
    **dict.fromkeys(("duration", "queue_name", "account"), "attributes"),
    **dict.fromkeys(("node_count", "process_count"), "resources"),
}
"""What may be changed of a job that its scheduler has and has not started, and the field that it is in."""


class Verb(StrEnum):
    """What the scheduler is to do. The words are those of a site's commands."""

    HOLD = "hold"
    RELEASE = "release"
    ALTER = "alter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One wish that the site has not answered."""

    number: int
    """The version of the job's status that it made: no two orders of a job have the same."""
    verb: Verb
    terms: Mapping[str, Any] = field(default_factory=dict)
    """Of an alteration: what is to be asked of the scheduler; see ``core.altering``."""


Orders = tuple[Order, ...]


def with_order(orders: Orders, order: Order) -> Orders:
    """The orders with this one, in the order in which they are to be carried out."""
    return (*(each for each in orders if not _same_matter(each.verb, order.verb)), order)


def without(orders: Orders, number: int) -> Orders:
    """The orders that stand when this one is answered."""
    return tuple(each for each in orders if each.number != number)


def stands(orders: Orders, number: int) -> bool:
    """Whether the order of this number has not been answered, or replaced by a newer one."""
    return any(each.number == number for each in orders)


def standing(orders: Orders, *verbs: Verb) -> Order | None:
    """The order of one of these verbs that stands, if one does."""
    return next((each for each in orders if each.verb in verbs), None)


def _same_matter(one: Verb, other: Verb) -> bool:
    return (one is Verb.ALTER) is (other is Verb.ALTER)


def patch_of(terms: Terms) -> dict[str, dict[str, Any]]:
    """The merge patch of a document that makes these terms so."""
    patch: dict[str, dict[str, Any]] = {}
    for name, value in terms.items():
        patch.setdefault(TERMS[name], {})[name] = value
    return patch


def terms_of(patch: Mapping[str, Any]) -> Terms:
    """The terms in a patch that has nothing else: in what a site says that its scheduler has changed."""
    found = {name: (patch.get(field) or {}).get(name) for name, field in TERMS.items()}
    return {name: value for name, value in found.items() if value is not None}
