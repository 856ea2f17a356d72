"""What a user may still change of a job's document, and when: ALTERABLE and TERMS are the whole rule.

An alteration is a new revision of the document, written in one transaction with the status that points to it. A
batch names the revision of each of its members, so one that is under way goes on with what it was made of.

What the scheduler was asked for, the *terms*, is the scheduler's to change once it has the job: then they are an order
to the site (``core.orders``), and the new revision is written when the site says that they are so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from chalicelib.core import paths
from chalicelib.core.batch import legs_to_stage_in
from chalicelib.core.document import SHAPE, Document
from chalicelib.core.events import Altered
from chalicelib.core.job import Deadlines, Job, Retry, State
from chalicelib.core.journey import journey_of
from chalicelib.core.orders import TERMS, Terms
from chalicelib.core.posting import document_size
from chalicelib.core.shape import Record

LEASED = "leased"
"""Not a state: a staged job that a site has been given, and may be submitting."""

_NEW = frozenset({State.NEW.value})
_NOT_LEASED = frozenset({State.NEW.value, State.STAGE_IN.value, State.STAGED.value})
_LIVE = frozenset({*(state.value for state in State if not state.final), LEASED})

ALTERABLE: Mapping[str, frozenset[str]] = {
    # The directory at the site bears the name; what has set out is not called back.
    **dict.fromkeys(("name", "stage_in"), _NEW),
    # A site reads these when it leases the job, and looks for these outputs when it ends.
    **dict.fromkeys(("executable", "arguments", "environment", "inherit_environment", "files"), _NOT_LEASED),
    **dict.fromkeys(("stdin_path", "stdout_path", "stderr_path", "resources", "attributes"), _NOT_LEASED),
    "stage_out": _NOT_LEASED,
    # These mean nothing to a site. Tags that an output's target names count as ``stage_out``.
    **dict.fromkeys(("tags", "cleanup", "retry", "deadlines", "notify"), _LIVE),
}
"""In which states a field may be changed. What is not here never is."""

_SUBMITTED = frozenset({"name", "resources", "attributes"})
"""What a scheduler is told that has a job, held, before its data is there; the rest its site reads again later."""

_INSTEAD = {
    "staging": "cancel it, and submit another",
    "hold": "use /hold and /release",
    "depends_on": "a job waits for those that it named when it was submitted",
    "site": "cancel it, and submit another",
}


def merged(document: Any, patch: Any) -> Any:
    """The document after a JSON merge patch (RFC 7396): objects are merged, null removes, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    found = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def differing(old: Document, new: Document) -> tuple[str, ...]:
    """The fields in which two documents say different things, whatever they leave out."""
    return tuple(name for name in new.values if old.values[name] != new.values[name])


def split(patch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of a patch is about the fields that the terms are in, and what is about others."""
    fields = set(TERMS.values())
    theirs = {name: value for name, value in patch.items() if name in fields}
    return theirs, {name: value for name, value in patch.items() if name not in fields}


def terms_asked(old: Document, new: Document, standing: Terms) -> Terms:
    """What the scheduler is to be asked for, that ``new`` may be so; what was asked before may be so by now."""
    return {
        name: _said(new, field)[name]
        for name, field in TERMS.items()
        if name in standing or _said(old, field)[name] != _said(new, field)[name]
    }


def terms_refused(job: Job, old: Document, new: Document) -> Mapping[str, str]:
    """What of ``new`` cannot be asked of a scheduler that has the job: by its name, in words."""
    found = {}
    there, names = f"job {job.ref.number} is {job.state} and its scheduler has it", ", ".join(TERMS)
    for field in dict.fromkeys(TERMS.values()):
        was, wanted = _said(old, field), _said(new, field)
        for name in (each for each in wanted if was[each] != wanted[each]):
            if name not in TERMS:
                found[name] = f"{field}.{name} cannot be changed while {there}: {names} can"
            elif wanted[name] is None:
                found[name] = f"while {there}, {field}.{name} can be changed and not taken back"
    return found


def _said(document: Document, field: str) -> Mapping[str, Any]:
    """A field with all its members: one that was left out has their defaults."""
    return document.values[field] or cast("Record", SHAPE.fields[field].shape).defaults


def refusals(job: Job, old: Document, new: Document) -> Mapping[str, str]:
    """The fields that may not be changed now, each with the reason and the job's state in words."""
    at = LEASED if job.state is State.STAGED and job.leased_until is not None else job.state.value
    found = {}
    for name in differing(old, new):
        if job.may_be_held and name in _SUBMITTED:
            found[name] = f"{name} cannot be changed: the scheduler has job {job.ref.number} already, held"
            continue
        rule = "stage_out" if name == "tags" and (_named_tags(old) or _named_tags(new)) else name
        if at not in ALTERABLE.get(rule, frozenset()):
            states = " or ".join(sorted(ALTERABLE.get(rule, ()))) or "nothing"
            states += " or, in part, queued" if name in TERMS.values() else ""
            cure = _INSTEAD.get(name, f"that is done while it is {states}")
            found[name] = f"{name} cannot be changed while job {job.ref.number} is {at}: {cure}"
    return found


def _named_tags(document: Document) -> bool:
    return any(name.startswith("tags.") for item in document.stage_out for name in paths.placeholders(item.template))


def altered(job: Job, old: Document, new: Document) -> Altered:
    """The event that gives a job this document."""
    fields = differing(old, new)
    return Altered(
        revision=job.revision + 1,
        fields=fields,
        name=new.name,
        tags=dict(new.tags),
        cleanup=bool(new.cleanup) if "cleanup" in fields else None,
        deadlines=Deadlines(**new.deadlines),
        retry=Retry(**new.retry),
        journey=journey_of(new),
        size=document_size(new.raw),
        legs=legs_to_stage_in(new) if "stage_in" in fields else None,
    )
