"""Reads Transfer's endpoint document and Auth's policy document as facts of a collection. Makes no call.

The time-out of an endpoint document is in minutes, that of a policy in seconds (Globus SDK, ``create_policy``).
Where both speak, the stricter holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from chalicelib.core.consent import CollectionFacts
from chalicelib.core.ids import CollectionId


def read_endpoint(collection: CollectionId, document: Mapping[str, Any]) -> CollectionFacts:
    """What an endpoint document says. A field that it lacks demands nothing."""
    minutes = document.get("authentication_timeout_mins")
    policy = document.get("authentication_policy_id")
    return CollectionFacts(
        id=collection,
        entity_type=str(document.get("entity_type") or ""),
        high_assurance=bool(document.get("high_assurance")),
        max_age=timedelta(minutes=int(minutes)) if minutes else None,
        mfa=bool(document.get("mfa_required")),
        policies=(str(policy),) if policy else (),
    )


def with_policy(facts: CollectionFacts, policy: Mapping[str, Any]) -> CollectionFacts:
    """The facts with what the collection's policy says."""
    seconds = policy.get("authentication_assurance_timeout")
    ages = [age for age in (facts.max_age, timedelta(seconds=int(seconds)) if seconds else None) if age is not None]
    return replace(
        facts,
        max_age=min(ages, default=None),
        mfa=facts.mfa or bool(policy.get("required_mfa")),
        domains=tuple(str(each).lower() for each in policy.get("domain_constraints_include") or ()),
    )
