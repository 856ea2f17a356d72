"""The words Cobalt shows for a job's state. How a job moves between states is not here."""

from __future__ import annotations

from enum import StrEnum


class StateWord(StrEnum):
    """A state as ``qstat`` prints it. A finished job has none: it is gone from the list at once."""

    QUEUED = "queued"
    USER_HOLD = "user_hold"
    DEP_HOLD = "dep_hold"
    DEP_FAIL = "dep_fail"
    """A job it depends on failed or vanished: it waits forever unless its dependencies are removed."""
    ADMIN_HOLD = "admin_hold"
    MAXRUN_HOLD = "maxrun_hold"
    """Ready to run, but its queue lets its user run no more at once."""
    STARTING = "starting"
    """Prologue scripts run; the nodes are already charged."""
    RUNNING = "running"
    KILLING = "killing"
    """Told to end, by its owner or the walltime; its processes may still live."""
    PREEMPTING = "preempting"
    PREEMPTED = "preempted"
    EXITING = "exiting"
    """The task is over; epilogue scripts run."""
    DONE = "done"
    """Never displayed: the job vanishes instead."""

    @property
    def short(self) -> str:
        """Return the one letter of the ``S`` column."""
        return _SHORT[self]


HELD = frozenset({StateWord.USER_HOLD, StateWord.DEP_HOLD, StateWord.DEP_FAIL, StateWord.ADMIN_HOLD})

_SHORT = {
    StateWord.QUEUED: "Q",
    StateWord.USER_HOLD: "H",
    StateWord.DEP_HOLD: "H",
    StateWord.DEP_FAIL: "H",
    StateWord.ADMIN_HOLD: "H",
    StateWord.MAXRUN_HOLD: "H",
    StateWord.STARTING: "R",
    StateWord.RUNNING: "R",
    StateWord.KILLING: "K",
    StateWord.PREEMPTING: "P",
    StateWord.PREEMPTED: "P",
    StateWord.EXITING: "E",
    StateWord.DONE: "E",
}
