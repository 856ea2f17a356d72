"""The switches of whoever drives the emulator: the clock, failures, and everything that can happen to a collection,
a login or a task. The fixture calls these; the control API offers the same over HTTP."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from emulators.globus.errors import Document
from emulators.globus.faults import CallFault, FaultKind, FileFault, Seen
from emulators.globus.pace import Pace
from emulators.globus.pauses import PauseRule
from emulators.globus.times import stamp
from emulators.globus.world import World


@runtime_checkable
class _Turnable(Protocol):
    def turn(self, seconds: float) -> None: ...


class ControlError(ValueError):
    """The switch cannot be thrown so."""


class Controls:
    """Every method takes effect before it returns. Collections are named by name or id, people by username."""

    def __init__(self, world: World) -> None:
        self._world = world

    # -- time ----------------------------------------------------------------------------------------------

    def turn_clock(self, seconds: float) -> None:
        """Move the clock forward. Raises ``ControlError`` where it is the machine's own."""
        clock = self._world.clock
        if not isinstance(clock, _Turnable):
            raise ControlError("this clock cannot be turned")
        clock.turn(seconds)
        self.settle()

    def set_pace(self, kind: Literal["once", "clock", "poll"], scale: float = 1.0, polls: int = 1) -> None:
        """How fast tasks go from now on."""
        with self._world.lock:
            self._world.pace = Pace(kind=kind, scale=scale, polls=polls)
            self._world.engine.notify()

    def settle(self) -> None:
        """Wait until what is due for every live task has happened."""
        with self._world.lock:
            self._world.engine.settle(self._world.tasks.all_live())

    # -- failures ------------------------------------------------------------------------------------------

    def fail(
        self,
        kind: FaultKind = "answer",
        *,
        path: str = "*",
        method: str = "*",
        times: int = 1,
        skip: int = 0,
        status: int = 500,
        body: Document | str | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Let the next ``times`` calls of ``method`` and ``path`` (a pattern) fail, after ``skip`` that go well.

        ``answer`` gives ``status`` and ``body`` instead; ``reset_before`` and ``reset_after`` close the connection
        before or after the effect; ``slow`` answers ``seconds`` of real time after it; ``truncate`` sends half of the
        body.
        """
        fault = CallFault(
            kind=kind,
            path=path,
            method=method,
            times=times,
            skip=skip,
            status=status,
            body=body,
            headers=headers or {},
            seconds=seconds,
        )
        with self._world.lock:
            self._world.faults.calls.append(fault)

    def fail_file(self, path: str, code: str, times: int = 1) -> None:
        """Let the next ``times`` attempts at a source file whose path ends in ``path`` fail with an event's code."""
        with self._world.lock:
            self._world.faults.files.append(FileFault(path=path, times=times, code=code))

    def corrupt_file(self, path: str, times: int = 1) -> None:
        """Change a byte in flight, in the next ``times`` copies of a source file whose path ends in ``path``."""
        with self._world.lock:
            self._world.faults.files.append(FileFault(path=path, times=times, corrupt=True))

    def clear_faults(self) -> None:
        with self._world.lock:
            self._world.faults.clear()

    # -- collections ---------------------------------------------------------------------------------------

    def offline(self, collection: str) -> None:
        self._set_offline(collection, True)

    def online(self, collection: str) -> None:
        self._set_offline(collection, False)

    def _set_offline(self, collection: str, offline: bool) -> None:
        with self._world.lock:
            self._world.places.named(collection).offline = offline
            self._world.engine.notify()

    def delete_collection(self, collection: str) -> None:
        """The collection is gone for good; its files stay on the disk."""
        with self._world.lock:
            self._world.places.named(collection).deleted = True
            self._world.engine.notify()

    def set_quota(self, collection: str, bytes: int | None = None) -> None:
        """Let a collection hold so many bytes; None lifts the limit."""
        with self._world.lock:
            self._world.places.named(collection).quota = bytes

    def fill_quota(self, collection: str) -> None:
        """The collection holds what it holds now, and not a byte more."""
        place = self._world.places.named(collection)
        self.set_quota(collection, place.root.used())

    def pause(self, collection: str, message: str = "Paused for maintenance", username: str | None = None) -> str:
        """Hold up everything on a collection (for one user); the id of the rule."""
        with self._world.lock:
            identity = None if username is None else self._identity(username)
            place = self._world.places.named(collection)
            rule = PauseRule(
                collection=place.collection.id, message=message, start_time=self._world.now(), identity=identity
            )
            self._world.pauses.rules[rule.id] = rule
            self._world.engine.notify()
            return rule.id

    def unpause(self, rule: str | None = None) -> None:
        """Lift one pause rule, or all."""
        with self._world.lock:
            gone = list(self._world.pauses.rules) if rule is None else [rule]
            for each in gone:
                self._world.pauses.rules.pop(each, None)
            self._world.engine.notify()

    # -- logins --------------------------------------------------------------------------------------------

    def revoke_consent(self, username: str, client: str = "qstage", scope: str | None = None) -> int:
        """Take consent to a scope (or all) for a client back, with the tokens from it; how many were there."""
        world = self._world
        with world.lock:
            who, app = self._identity(username), world.people.client_named(client).id
            found = [each for each in world.auth.consents(app, who) if scope in (None, each.path[-1])]
            for consent in found:
                world.auth.rescind(app, who, consent.path)
            world.engine.notify()
            return len(found)

    def revoke_tokens(self, username: str, kind: Literal["access", "refresh"] | None = None) -> int:
        """Kill a person's tokens (of one kind); how many there were."""
        with self._world.lock:
            return self._world.auth.revoke_of(self._identity(username), kind)

    def end_session(self, username: str) -> None:
        """Forget every sign-in of a person. Tokens stay valid; what demands a session refuses them."""
        world = self._world
        with world.lock:
            ids = world.account(self._identity(username)).ids
            for session in world.auth.sessions.values():
                for identity_id in ids & {*session.authentications}:
                    del session.authentications[identity_id]
            world.engine.notify()

    def expire_credentials(self, task_id: str, expired: bool = True) -> None:
        """Let a task's credentials expire (it becomes INACTIVE) or be good again."""
        with self._world.lock:
            task = self._world.tasks.get(task_id)
            if task is None:
                raise ControlError("no such task")
            task.credentials_expired = expired
            self._world.engine.notify()

    def _identity(self, username: str) -> str:
        identity = self._world.people.named(username)
        if identity is None:
            if username in {client.name for client in self._world.people.clients.values()}:
                return self._world.people.client_named(username).id
            raise ControlError(f"no identity {username}")
        return self._world.account(identity.id).primary.id

    # -- what was seen -------------------------------------------------------------------------------------

    def requests(self) -> list[Seen]:
        """Every request since the start or the last ``forget_requests``, oldest first."""
        with self._world.lock:
            return list(self._world.faults.seen)

    def forget_requests(self) -> None:
        with self._world.lock:
            self._world.faults.seen.clear()

    def overview(self) -> Document:
        """Where the world stands: the time, the collections, the tasks by state."""
        world = self._world
        with world.lock:
            states: dict[str, int] = {}
            for task in world.tasks.all():
                states[task.status] = states.get(task.status, 0) + 1
            return {
                "time": stamp(world.now()),
                "collections": {
                    place.collection.name: {
                        "id": place.collection.id,
                        "offline": place.offline,
                        "quota": place.quota,
                    }
                    for place in world.places.all()
                },
                "tasks": states,
                "faults_waiting": len(world.faults.calls) + len(world.faults.files),
            }
