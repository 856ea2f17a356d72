"""Why a task stands still though nothing is wrong with its files: paused, credentials gone, a collection away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from emulators.globus.access import demand_of, has_data_access
from emulators.globus.login_rules import met
from emulators.globus.places import Place
from emulators.globus.task_models import Task

if TYPE_CHECKING:
    from emulators.globus.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    kind: Literal["paused", "inactive", "offline"]
    code: str
    event: str
    details: str
    fails: bool = False


def hold_of(world: World, task: Task) -> Hold | None:
    """What holds a task now, the most lasting first."""
    return _credentials(world, task) or _pause(world, task) or _offline(world, task)


def places_of(world: World, task: Task) -> list[Place]:
    ids = [each for each in (task.source, task.destination) if each is not None]
    return [place for each in ids if (place := world.places.known(each)) is not None]


def _credentials(world: World, task: Task) -> Hold | None:
    expired = Hold(
        kind="inactive", code="AUTH", event="AUTH", details="Credentials expired: sign in again to resume the task"
    )
    if task.credentials_expired:
        return expired
    account = world.account(task.owner)
    for place in places_of(world, task):
        collection = place.collection
        behaviour = world.settings.revoked_consent
        if behaviour != "ignore" and not has_data_access(world, task.client, task.owner, collection):
            return Hold(
                kind="inactive",
                code="AUTH",
                event="AUTH",
                details=f"Consent for the data of {collection.display_name} was withdrawn",
                fails=behaviour == "failed",
            )
        demand = demand_of(world, collection)
        if demand is None or world.people.is_service(task.owner):
            continue
        if not any(met(demand, account, session, world.now()) for session in world.auth.sessions.values()):
            return expired
    return None


def _pause(world: World, task: Task) -> Hold | None:
    message = task.paused_by_admin
    if message is None:
        rule = world.pauses.for_task(task, world.now())
        message = None if rule is None else rule.message
    if message is None:
        return None
    return Hold(kind="paused", code="PAUSED_BY_ADMIN", event="PAUSED", details=message)


def _offline(world: World, task: Task) -> Hold | None:
    for place in places_of(world, task):
        name = place.collection.display_name
        if place.deleted:
            return Hold(
                kind="offline", code="ENDPOINT_ERROR", event="ENDPOINT_ERROR", details=f"{name} has been deleted"
            )
        if place.offline:
            code = "GC_NOT_CONNECTED" if place.collection.kind == "personal" else "CONNECT_FAILED"
            return Hold(kind="offline", code=code, event=code, details=f"{name} cannot be reached")
    return None
