"""What Cobalt's qhold and qrls say of a job. They end with status 0 whatever became of it, so their words decide."""

from __future__ import annotations

import re

_DONE = re.compile(r"^\s*(Placed user hold on jobs|Removed user hold on jobs):", re.MULTILINE)
_FAILED = re.compile(r"^\s+job \d+ (.+)$", re.MULTILINE)
_SO_ALREADY = {"hold": "already in state 'user hold'", "release": "does not have a 'user hold'"}


def refusal_of(verb: str, out: str) -> str | None:
    """Why the job was not held or released, in Cobalt's words; None if it was, or was so already."""
    said = _FAILED.search(out)
    if said is not None:
        return None if said[1] == _SO_ALREADY[verb] else out.strip()
    return None if _DONE.search(out) else out.strip() or f"Cobalt did not {verb} the job, and gave no reason"
