"""The front door: a page for a person who opens the address of the service."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib import pages
from chalicelib.api import browser
from chalicelib.api.rooms import rooms

routes = Blueprint(__name__)

_WHAT = (
    "qstage runs a batch job where its data is not: it brings the inputs to the compute site, hands the job to the "
    "scheduler there, and takes the results where you want them."
)


@routes.route("/", methods=["GET"])
@browser.shows
def home() -> Response:
    """Say what this is, and who is signed in here."""
    session = rooms().sign_in.session(browser.session_of(routes.current_request), rooms().clock.now())
    if session is None:
        way = "Sign in here, or in a terminal with: qstage login"
        return browser.shown(pages.message("qstage", _WHAT, way, link=(browser.here("/login"), "Sign in")))
    who = f"This browser is signed in as {session.username}."
    way = "Submit and follow your jobs in a terminal with qstage qsub and qstage qstat, or over the REST API."
    return browser.shown(pages.message("qstage", _WHAT, who, way))
