"""Actors that run one at a time, and stop before each call of a port until it is their turn again.

Each is a thread with a baton: between two of its calls a test may step another one, turn the clock, or end it
there as a process ends. The order is the test's alone, so the same choices make the same run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from loop_house import CrashNow, House

PATIENCE = 20.0


class Actor:
    """One call of a function from outside. ``raised`` is what it ended by, if not well."""

    def __init__(self, kind: str, act: Callable[[], object], began_at: datetime, life: timedelta) -> None:
        self.kind, self.began_at, self.life = kind, began_at, life
        self.raised: BaseException | None = None
        self.over = False
        self.calls: list[str] = []
        self.at = ""
        self._ended = False
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._act = act
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Go on to the first call."""
        self._thread.start()
        self._wait()

    def step(self) -> None:
        """Make the call that it stopped before, and go on to the next."""
        self._go.release()
        self._wait()

    def end(self) -> None:
        """End it before the call that it stopped at."""
        if not self.over:
            self._ended = True
            self.step()

    def pause(self, call: str) -> None:
        """Called in its own thread, before each call of a port. ``at`` names it, ``calls`` those made before."""
        self.at = call
        self._back.release()
        assert self._go.acquire(timeout=PATIENCE), "nobody stepped this actor"
        if self._ended:
            raise CrashNow
        self.calls.append(call)

    def _wait(self) -> None:
        assert self._back.acquire(timeout=PATIENCE), f"{self.kind} neither went on nor ended"
        if self.over:
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        _mine.actor = self
        try:
            self._act()
        except BaseException as error:
            self.raised = error
        finally:
            self.over = True
            self._back.release()


_mine = threading.local()


class Stage:
    """The actors that are under way in a house. No function outlives its time-out."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.actors: list[Actor] = []
        house.gate = self._gate

    def _gate(self, call: str, moment: str) -> None:
        actor: Actor | None = getattr(_mine, "actor", None)
        if actor is not None and moment == "before":
            actor.pause(call)

    def begin(self, kind: str, act: Callable[[], object], life: timedelta) -> None:
        actor = Actor(kind, act, self.house.clock.now(), life)
        actor.start()
        self._keep(actor)

    def count(self, kind: str) -> int:
        return sum(actor.kind == kind for actor in self.actors)

    def step(self, place: int) -> None:
        actor = self.actors.pop(place)
        actor.step()
        self._keep(actor)

    def end(self, place: int) -> None:
        self.actors.pop(place).end()

    def turn(self, **by: float) -> None:
        """Time passes; what has run for its whole life by then is ended first."""
        then = self.house.clock.now() + timedelta(**by)
        for actor in [actor for actor in self.actors if actor.began_at + actor.life <= then]:
            self.actors.remove(actor)
            actor.end()
        self.house.clock.turn(**by)

    def end_all(self) -> None:
        for actor in self.actors:
            actor.end()
        self.actors.clear()

    def _keep(self, actor: Actor) -> None:
        """Put it at the end of the queue; what it raised, but for its own end, is the test's to see."""
        if not actor.over:
            self.actors.append(actor)
        elif actor.raised is not None:
            raise actor.raised
