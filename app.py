"""The Chalice app: routes from the blueprints, and the functions that a queue, a clock or the API invokes.

Scheduled and queue handlers are declared here, because those of a blueprint are entered without this file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, SQSEvent

from chalicelib import logs
from chalicelib.api import device, health, home, jobs, keys, login, me, sites
from chalicelib.core.rings import read_ring

logs.configure()

app = Chalice(app_name="qstage", configure_logs=False)
for room in (home, jobs, sites, login, device, keys, me, health):
    app.register_blueprint(room.routes)

RESERVE = timedelta(seconds=20)
"""What a function keeps of its time for the call that it has begun."""


@app.on_sqs_message(queue="wake", name="reconcile", batch_size=1, maximum_concurrency=50)
def reconcile(event: SQSEvent) -> None:
    """Make a pass for the user that a ring names."""
    from chalicelib.wiring import services

    for record in event:
        services().reconciler.wake(read_ring(record.body), lambda: _time_left(event.context))


@app.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(event: CloudWatchEvent) -> None:
    """Ring for every desk whose time has come."""
    from chalicelib.wiring import services

    services().sweep.run()


@app.schedule(Rate(1, unit=Rate.HOURS), name="refresh_tokens")
def refresh_tokens(event: CloudWatchEvent) -> None:
    """Renew the tokens that live jobs will need, and keep resting ones alive."""
    from chalicelib.service.tokens import Outcome
    from chalicelib.wiring import services

    here = services()
    done = here.tokens.renew_due(here.clock.now(), go_on=lambda: _time_left(event.context) > RESERVE)
    if broken := done.users(Outcome.BROKEN):
        raise RuntimeError(f"{len(broken)} renewals broke; the log names the users")  # which an alarm counts


@app.lambda_function(name="exchange")
def exchange(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """What only this function may: turn a login's code into sealed tokens, look collections up, and ask whose a
    token is."""
    from chalicelib.api.exchange import answer
    from chalicelib.wiring import services

    return answer(event, services().exchanging, services().inspecting)


def _time_left(context: Any) -> timedelta:
    """How long the function may still run, by the context that Lambda gives it."""
    return timedelta(milliseconds=context.get_remaining_time_in_millis())
