"""Bookmarks over HTTP."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from emulators.globus.access import Caller, caller
from emulators.globus.bookmarks import Bookmark
from emulators.globus.errors import Document, TransferRefusal
from emulators.globus.replies import json_reply
from emulators.globus.submission_responses import body_of
from emulators.globus.submissions import text
from emulators.globus.task_responses import result
from emulators.globus.world import World


def _document(bookmark: Bookmark) -> Document:
    return {
        "DATA_TYPE": "bookmark",
        "id": bookmark.id,
        "name": bookmark.name,
        "endpoint_id": bookmark.collection,
        "path": bookmark.path,
        "pinned": False,
    }


def _own(world: World, who: Caller, bookmark_id: str) -> Bookmark:
    found = world.bookmarks.get(who.owner, bookmark_id)
    if found is None:
        raise TransferRefusal(404, "BookmarkNotFound", f"No bookmark '{bookmark_id}'")
    return found


def _refuse_taken(world: World, who: Caller, name: str) -> None:
    if any(each.name == name for each in world.bookmarks.of(who.owner)):
        raise TransferRefusal(409, "BookmarkExists", f"A bookmark named '{name}' exists")


def bookmark_list(world: World, request: Request) -> Response:
    with world.lock:
        found = world.bookmarks.of(caller(world, request).owner)
        return json_reply({"DATA_TYPE": "bookmark_list", "DATA": [_document(each) for each in found]})


def create(world: World, request: Request) -> Response:
    document = body_of(request, "bookmark")
    with world.lock:
        who = caller(world, request)
        collection = world.collection(text(document, "endpoint_id")).id
        name = text(document, "name")
        _refuse_taken(world, who, name)
        made = Bookmark(owner=who.owner, name=name, collection=collection, path=text(document, "path"))
        return json_reply(_document(world.bookmarks.put(made)), 201)


def get(world: World, request: Request, bookmark_id: str) -> Response:
    with world.lock:
        return json_reply(_document(_own(world, caller(world, request), bookmark_id)))


def rename(world: World, request: Request, bookmark_id: str) -> Response:
    document = body_of(request)
    with world.lock:
        who = caller(world, request)
        bookmark, name = _own(world, who, bookmark_id), text(document, "name")
        if name != bookmark.name:
            _refuse_taken(world, who, name)
        return json_reply(_document(world.bookmarks.rename(bookmark, name)))


def delete(world: World, request: Request, bookmark_id: str) -> Response:
    with world.lock:
        world.bookmarks.remove(_own(world, caller(world, request), bookmark_id))
        return json_reply(result(request, "Deleted", f"Bookmark '{bookmark_id}' deleted successfully"))
