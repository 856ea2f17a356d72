"""AWS on one machine, for one Chalice project: see README.md. `AwsStack` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulators.aws.stack import AwsStack, StackError

__all__ = ["AwsStack", "StackError"]


def __getattr__(name: str) -> object:
    """Import moto and the rest only for who asks: a function's host runs a module of this package too."""
    if name in __all__:
        from emulators.aws import stack

        return getattr(stack, name)
    raise AttributeError(name)
