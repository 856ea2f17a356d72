"""The gate before AWS: who asks, what for, and whether that caller's policy allows it.

Owns the callers (an access key id is a function) and the refusals in each service's own shape. A refusal
names the caller, the action and the resource, never a value of the request. Decisions are `iam`'s; what a
request wants is `access`'s. Signatures are not checked: the keys are random, made for one run, and never
leave the machine.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from emulators.aws.access import Call, Directory, UnjudgeableError, read_call, signer
from emulators.aws.iam import Access, Policy, evaluate
from emulators.aws.web import Request, Response

ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """One caller's access key pair."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def make(cls) -> Keys:
        return cls(access_key_id=f"AKIA{secrets.token_hex(8).upper()}", secret_access_key=secrets.token_hex(20))


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A request that may go on. ``call`` is None for the administrator, whose requests are not read."""

    caller: str
    service: str
    call: Call | None


class Gate:
    """Judges requests by the policies of their callers."""

    def __init__(self, directory: Directory) -> None:
        self._policies: dict[str, Policy] = {}
        self._directory = directory
        self.keys: dict[str, Keys] = {}
        self._callers: dict[str, str] = {}
        self._add(ADMIN)

    def _add(self, caller: str) -> None:
        self.keys[caller] = Keys.make()
        self._callers[self.keys[caller].access_key_id] = caller

    def admit(self, caller: str, policy: Policy) -> None:
        """Give a caller keys and a policy. One that has keys gets the new policy only."""
        self._policies[caller] = policy
        if caller not in self.keys:
            self._add(caller)

    def judge(self, request: Request) -> Passed | Response:
        """What may pass, or the refusal to answer with."""
        signed = signer(request)
        if signed is None:
            return _refusal("", "MissingAuthenticationToken", "Request is missing Authentication Token")
        key_id, service = signed
        caller = self._callers.get(key_id)
        if caller is None:
            return _refusal(
                service,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        if caller == ADMIN:
            return Passed(caller=caller, service=service, call=None)
        try:
            call = read_call(request, service, self._directory)
        except UnjudgeableError as error:
            return _refusal(service, "AccessDeniedException", f"{self._who(caller)}: {error}")
        for access in call.accesses:
            if refused := self.refuses(caller, access):
                return _refusal(service, "AccessDeniedException", refused)
        return Passed(caller=caller, service=service, call=call)

    def refuses(self, caller: str, access: Access) -> str | None:
        """Why ``caller`` may not do ``access``, in AWS's words, or None if it may."""
        decision = evaluate(self._policies[caller], access)
        if decision.allowed:
            return None
        why = (
            "with an explicit deny in an identity-based policy"
            if decision.explicit_deny
            else f"because no identity-based policy allows the {access.action} action"
        )
        return f"{self._who(caller)} is not authorized to perform: {access.action} on resource: {access.resource} {why}"

    def _who(self, caller: str) -> str:
        return f"User: arn:aws:sts::{self._directory.account}:assumed-role/{caller}/{caller}"


def _refusal(service: str, code: str, message: str) -> Response:
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-RequestId", secrets.token_hex(16))]
    if service == "lambda":
        headers.append(("x-amzn-ErrorType", code))
        return Response(status=403, headers=tuple(headers), body=json.dumps({"Message": message}).encode())
    if service == "sns":
        error = f"<Type>Sender</Type><Code>AuthorizationError</Code><Message>{escape(message)}</Message>"
        xml = f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error>{error}</Error></ErrorResponse>'
        return Response(status=403, headers=(("Content-Type", "text/xml"),), body=xml.encode())
    if service == "sqs":
        # The JSON protocol of a service that once spoke Query keeps the Query name of the error in a header.
        name = "AccessDenied" if code == "AccessDeniedException" else "InvalidClientTokenId"
        headers.append(("x-amzn-query-error", f"{name};Sender"))
    body = {"__type": f"com.amazon.coral.service#{code}", "Message": message, "message": message}
    status = 400 if service in {"dynamodb", "kms", "secretsmanager"} else 403
    return Response(status=status, headers=tuple(headers), body=json.dumps(body).encode())
