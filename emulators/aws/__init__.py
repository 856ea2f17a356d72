"""AWS on one machine, for one Chalice project: see README.md. `AwsStack` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulators.aws.errors import StackError

if TYPE_CHECKING:
    from emulators.aws.stack import AwsStack

__all__ = ["AwsStack", "StackError"]


def __getattr__(name: str) -> object:
    """Import moto and the rest only for who asks: a function's host runs a module of this package too."""
    if name == "AwsStack":
        from emulators.aws import stack

        return stack.AwsStack
    raise AttributeError(name)
