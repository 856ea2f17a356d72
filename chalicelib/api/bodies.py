"""Bodies of requests: JSON by a shape, forms, and the little that is read from headers and queries."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl

from chalice.app import Request

from chalicelib.core.errors import Fault, Invalid

if TYPE_CHECKING:
    from chalicelib.core.shape import Shape

MOST_BYTES = 5 * 1024 * 1024
_FORM_BYTES = 64 * 1024
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def json_of(request: Request, shape: Shape) -> Any:
    """The body, read by ``shape``. Raises Invalid with every fault."""
    faults: list[Fault] = []
    value = shape.read(raw_json(request), "", faults)
    if faults:
        raise Invalid(tuple(faults))
    return value


def raw_json(request: Request) -> Any:
    """The body as JSON, for readers that check it themselves."""
    return _parsed(_raw(request, MOST_BYTES))


def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form; of a repeated one the last."""
    raw = _raw(request, _FORM_BYTES)
    return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50))


def query_of(request: Request) -> dict[str, str]:
    """The parameters of the query; of a repeated one the last."""
    return dict(request.query_params or {})


def repeated_query(request: Request) -> dict[str, list[str]]:
    """The parameters of the query with every value that each was given."""
    query = request.query_params
    return {} if query is None else {name: query.getlist(name) for name in query}


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key, if one was sent. Raises Invalid if it is not 1 to 128 visible ASCII characters."""
    key = request.headers.get("idempotency-key")
    if key is not None and _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise Invalid((Fault("Idempotency-Key", "must have 1 to 128 visible ASCII characters"),))
    return key


def _raw(request: Request, most: int) -> bytes:
    body = request.raw_body
    raw = body.encode() if isinstance(body, str) else body
    if len(raw) > most:
        raise Invalid((Fault("", f"must have at most {most} bytes; it has {len(raw)}"),), code="too-large")
    return raw


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Invalid((Fault("", "must be JSON in UTF-8"),), code="not-json") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
