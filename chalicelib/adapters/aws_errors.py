"""What AWS answers instead of an answer, as errors of ours.

Only what can pass by itself is converted: throttling, a service that fails, no connection. A refusal, a wrong name
or a broken request is a fault of this deployment; it is let through, to crash and be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib.core.errors import FarSide

_PASSING = frozenset(
    {
        "InternalServerError",
        "InternalServiceErrorException",
        "KMSInternalException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)


@contextmanager
def aws(service: str) -> Iterator[None]:
    """Run a call of a boto3 client; raises FarSide (transient) for what can pass."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code not in _PASSING and status < 500:
            raise
        raise FarSide(service, code, "AWS could not answer.", transient=True, status=status or None) from error
    except (ConnectionError, HTTPClientError) as error:
        raise FarSide(service, type(error).__name__, "AWS did not answer.", transient=True) from error


def refused_item(error: Any) -> dict[str, Any] | None:
    """The item that made a condition fail ({} if there was none), or None if the error is another one."""
    if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
        return None
    found: dict[str, Any] = error.response.get("Item", {})
    return found
