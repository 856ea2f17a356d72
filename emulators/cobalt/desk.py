"""The questions that commands ask the daemon, and the answers, as JSON documents.

Each question names its ``verb``; each answer has ``refused`` (what qsub prints, and the job was not taken)
or the verb's own fields. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from emulators.cobalt.altering import read_spec
from emulators.cobalt.manager import QueueManager
from emulators.cobalt.queues import RefusalError


class Desk:
    """Answers for one queue manager; ``wake`` asks for a scheduler pass after each change."""

    def __init__(self, manager: QueueManager, wake: Callable[[], None]) -> None:
        self._manager = manager
        self._wake = wake

    def answer(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer to one question."""
        manager = self._manager
        ids, user = question.get("ids", []), question.get("user", "")
        match question["verb"]:
            case "known":
                return {"known": manager.known(ids)}
            case "jobs":
                return self._jobs()
            case "filters":
                return {"filters": manager.settings.filters}
            case "validate":
                return self._told(lambda: manager.validate(read_spec(question["spec"])), None)
            case "alter":
                change = question["changes"]
                result = self._told(lambda: manager.alter(question["id"], change, user), "queue-manager.set_jobs")
            case "defer":
                result = {"deferred": manager.defer(ids)}
            case "submit":
                result = self._submit(question["spec"])
            case "delete":
                result = {"deleted": manager.delete(ids, user), "pause": manager.settings.qdel_pause}
            case "hold":
                result = {"found": {one: asdict(out) for one, out in manager.hold(ids, user).items()}}
            case "release":
                result = {"found": {one: asdict(out) for one, out in manager.release(ids, user).items()}}
            case "free":
                result = {"freed": manager.free_dependencies(ids, user)}
            case verb:
                return {"refused": f"no such verb: {verb}\n"}
        self._wake()
        return result

    def _submit(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"jobid": self._manager.submit(read_spec(spec)), "now": self._manager.now()}
        except RefusalError as refusal:
            return {"refused": refusal.shown}
        except ValueError as fault:
            return {"refused": f"<Fault 1: {str(fault)!r}>\n"}

    def _told(self, act: Callable[[], None], call: str | None) -> dict[str, Any]:
        """Act; ``call`` is how Cobalt names the call that was refused, None where it is qsub's own."""
        try:
            act()
        except RefusalError as refusal:
            return {"refused": refusal.shown if call is None else refusal.shown_of(call)}
        except ValueError as fault:
            return {"refused": f"component error: XMLRPC failure <Fault 1: {str(fault)!r}> in {call}\n\n"}
        return {}

    def _jobs(self) -> dict[str, Any]:
        manager = self._manager
        return {
            "now": manager.now(),
            "jobs": [asdict(row) for row in manager.rows()],
            "queues": [asdict(queue.row()) for queue in manager.queues.values()],
        }
