"""The routes of jobs and sites over the planner's house: a blueprint can be registered once in a process."""

from __future__ import annotations

from datetime import datetime

from chalice.app import Chalice
from loop_house import ADA, House

from chalicelib.api import jobs as job_routes
from chalicelib.api import sites as site_routes
from chalicelib.core.keys import Caller
from chalicelib.service.sites import ManageSites

APP = Chalice(app_name="doors", configure_logs=False)
for _room in (job_routes, site_routes):
    APP.register_blueprint(_room.routes)


def owner_of(house: House) -> ManageSites:
    return ManageSites(sites=house.sites, keys=None, clock=house.clock)  # type: ignore[arg-type]


class Rooms:
    """What the routes of jobs and sites reach for."""

    base_url = "https://q.example/api"

    def __init__(self, house: House) -> None:
        self.house, self.clock = house, house.clock
        self.post_jobs, self.jobs, self.sites = house.post_jobs, house.manage, owner_of(house)
        self.access = self

    def authenticate(self, header: str | None, now: datetime, *, address: str = "") -> Caller:
        return ADA
