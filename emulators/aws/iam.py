"""IAM policy documents, read strictly and evaluated purely.

Owns the rules: an explicit Deny wins, else an Allow is needed, else the answer is no; wildcards in actions
and resources; the condition operators and keys that this stack can judge. Refuses, when a policy is read,
every element, operator or condition key that it cannot judge: a gate that skipped a condition would allow
what AWS refuses. Principals, boundaries and resource policies are not modelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from emulators.aws.errors import PolicyError

KNOWN_KEYS = (
    "kms:encryptioncontext:",  # a prefix: the rest is the context's own key
    "kms:encryptioncontextkeys",
    "kms:encryptionalgorithm",
    "kms:keyspec",
    "kms:requestalias",
    "kms:resourcealiases",
    "kms:viaservice",
    "dynamodb:leadingkeys",
    "dynamodb:select",
    "dynamodb:returnvalues",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:principalaccount",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One thing a request wants to do. ``context`` maps lower-case condition keys to their values."""

    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One operator on one key. ``quantifier`` is "", "forallvalues" or "foranyvalue"."""

    quantifier: str
    operator: str
    if_exists: bool
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    allow: bool
    actions: tuple[str, ...]
    except_actions: bool
    resources: tuple[str, ...]
    except_resources: bool
    conditions: tuple[Condition, ...]


Policy = tuple[Statement, ...]


@lru_cache(maxsize=4096)
def _pattern(text: str, ignore_case: bool) -> re.Pattern[str]:
    parts = ("." if c == "?" else ".*" if c == "*" else re.escape(c) for c in text)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def like(text: str, value: str, *, ignore_case: bool = False) -> bool:
    """IAM's wildcards: ``*`` is any run of characters, ``?`` any one."""
    return _pattern(text, ignore_case).fullmatch(value) is not None


def _arn_like(text: str, value: str) -> bool:
    wanted, given = text.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) == 6 and all(like(w, g) for w, g in zip(wanted, given, strict=True))


def _is_bool(text: str, value: str) -> bool:
    return text.lower() == value.lower()


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "stringequals": (str.__eq__, True),
    "stringnotequals": (str.__eq__, False),
    "stringequalsignorecase": (_is_bool, True),
    "stringnotequalsignorecase": (_is_bool, False),
    "stringlike": (like, True),
    "stringnotlike": (like, False),
    "arnequals": (_arn_like, True),
    "arnlike": (_arn_like, True),
    "arnnotequals": (_arn_like, False),
    "arnnotlike": (_arn_like, False),
    "bool": (_is_bool, True),
}


def parse_policy(document: Mapping[str, Any], *, name: str) -> Policy:
    """Read one policy document. ``name`` is for the errors."""
    unknown = set(document) - {"Version", "Id", "Statement"}
    if unknown:
        raise PolicyError(f"{name}: unknown element {sorted(unknown)}")
    if document.get("Version") != "2012-10-17":
        raise PolicyError(f'{name}: Version must be "2012-10-17"')
    return tuple(
        _parse_statement(statement, f"{name}, statement {number}")
        for number, statement in enumerate(_listed(document.get("Statement")), 1)
    )


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _parse_statement(statement: Mapping[str, Any], where: str) -> Statement:
    known = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
    if unknown := set(statement) - known:
        raise PolicyError(f"{where}: unknown element {sorted(unknown)}")
    if statement.get("Effect") not in {"Allow", "Deny"}:
        raise PolicyError(f"{where}: Effect must be Allow or Deny")
    for one, other in (("Action", "NotAction"), ("Resource", "NotResource")):
        if (one in statement) == (other in statement):
            raise PolicyError(f"{where}: exactly one of {one} and {other}")
    return Statement(
        allow=statement["Effect"] == "Allow",
        actions=_strings(statement.get("Action", statement.get("NotAction")), where),
        except_actions="NotAction" in statement,
        resources=_strings(statement.get("Resource", statement.get("NotResource")), where),
        except_resources="NotResource" in statement,
        conditions=tuple(_parse_conditions(statement.get("Condition", {}), where)),
    )


def _strings(value: Any, where: str) -> tuple[str, ...]:
    values = tuple(_listed(value))
    if not values or not all(isinstance(item, str) for item in values):
        raise PolicyError(f"{where}: expected a string or a list of strings")
    return values


def _parse_conditions(block: Mapping[str, Mapping[str, Any]], where: str) -> Iterable[Condition]:
    for written, keys in block.items():
        quantifier, _, operator = written.lower().rpartition(":")
        if_exists = operator.endswith("ifexists")
        operator = operator.removesuffix("ifexists")
        if operator not in _OPERATORS and operator != "null":
            raise PolicyError(f"{where}: cannot judge the condition operator {written}")
        if quantifier not in {"", "forallvalues", "foranyvalue"}:
            raise PolicyError(f"{where}: unknown quantifier in {written}")
        for key, values in keys.items():
            if not any(key.lower() == k or (k.endswith(":") and key.lower().startswith(k)) for k in KNOWN_KEYS):
                raise PolicyError(f"{where}: cannot judge the condition key {key}")
            texts = tuple(
                str(v).lower() if isinstance(v, bool) else v for v in _listed(values) if isinstance(v, bool | str)
            )
            if not texts or len(texts) != len(_listed(values)):
                raise PolicyError(f"{where}: {key}: expected strings")
            yield Condition(
                quantifier=quantifier, operator=operator, if_exists=if_exists, key=key.lower(), values=texts
            )


def _holds(condition: Condition, context: Mapping[str, tuple[str, ...]]) -> bool:
    given = context.get(condition.key)
    if condition.operator == "null":
        return (given is None) == (condition.values[0] == "true")
    matches, positive = _OPERATORS[condition.operator]
    if not given:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.h
        # tml: a missing key fails a positive operator and passes a negated one; "for all values" of nothing
        # holds.
        negated = not positive and condition.quantifier != "foranyvalue"
        return condition.if_exists or condition.quantifier == "forallvalues" or negated

    def one(value: str) -> bool:
        return any(matches(text, value) for text in condition.values) == positive

    return any(map(one, given)) if condition.quantifier == "foranyvalue" else all(map(one, given))


def _applies(statement: Statement, access: Access) -> bool:
    action = any(like(text, access.action, ignore_case=True) for text in statement.actions)
    resource = any(like(text, access.resource) for text in statement.resources)
    return (
        action != statement.except_actions
        and resource != statement.except_resources
        and all(_holds(condition, access.context) for condition in statement.conditions)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    allowed: bool
    explicit_deny: bool = False


def evaluate(policy: Policy, access: Access) -> Decision:
    """Decide one access. No I/O, no clock: the same policy and access give the same answer."""
    applying = [statement for statement in policy if _applies(statement, access)]
    if any(not statement.allow for statement in applying):
        return Decision(allowed=False, explicit_deny=True)
    return Decision(allowed=bool(applying))
