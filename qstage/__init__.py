"""qstage: run a batch job where its data is not.

``qstage.Client`` is the Python client; the command line is built on it and on nothing else. Importing this
package costs nothing: what is named here is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qstage.client import Client as Client
    from qstage.client import QstageError as QstageError

__version__ = "0.1.0"
__all__ = ["Client", "QstageError", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the client when it is asked for, so that the command line starts fast."""
    if name in {"Client", "QstageError"}:
        from qstage import client

        return getattr(client, name)
    raise AttributeError(f"module 'qstage' has no attribute {name!r}")
