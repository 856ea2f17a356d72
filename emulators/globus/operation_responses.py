"""The synchronous operations on a collection: ls, stat, mkdir, rename."""

from __future__ import annotations

import stat
from typing import Any

from werkzeug.wrappers import Request, Response

from emulators.globus import query
from emulators.globus.access import Caller, caller, check, parts_for, path_denied
from emulators.globus.errors import Document, TransferRefusal
from emulators.globus.ids import request_id
from emulators.globus.places import Place
from emulators.globus.replies import json_reply
from emulators.globus.roots import Entry, OutsideError
from emulators.globus.submission_responses import body_of
from emulators.globus.submissions import text
from emulators.globus.times import listing_stamp
from emulators.globus.world import World

_TESTS: dict[str, query.Test] = {
    "name": query.named,
    "type": query.one_of,
    "size": query.in_numbers,
    "last_modified": query.in_time,
    "permissions": query.named,
    "user": query.named,
    "group": query.named,
}
_ORDER = ("type", "name", "size", "last_modified")


def _enter(world: World, request: Request, collection_id: str, flag: str | None) -> tuple[Caller, Place]:
    """The caller and the place, consent, session and pause rules checked."""
    with world.lock:
        who, place = caller(world, request), world.place(collection_id)
        check(world, who, place)
        rule = world.pauses.for_call(collection_id, who.owner, flag, world.now()) if flag else None
        if rule is not None:
            raise TransferRefusal(world.settings.paused_status, "OperationPaused", rule.message)
        return who, place


def ls(world: World, request: Request, collection_id: str) -> Response:
    who, place = _enter(world, request, collection_id, "pause_ls")
    path = request.args.get("path") or place.collection.default_directory
    parts = parts_for(world, who, place, path, write=False)
    try:
        if not place.root.stat(parts).st_mode & stat.S_IRUSR:
            raise _listing_denied(path)
        entries = place.root.listing(parts)
    except OSError as error:
        raise _listing_error(place, path, error) from error
    if len(entries) > world.settings.listing_limit:
        limit = world.settings.listing_limit
        message = f"Directory limit of {limit} reached"
        raise TransferRefusal(502, "ExternalError.DirListingFailed.SizeLimit", message)
    found = _selected(request, [entry_document(each) for each in entries])
    page = query.page(found, _listing_args(world, request), "file_list", world.settings.listing_limit)
    shown = path if path.startswith(("/", "~")) else "/~/" + path
    return json_reply(
        {
            **page,
            "endpoint": collection_id,
            "path": ("/" + shown if shown.startswith("~") else shown).rstrip("/") + "/",
            "absolute_path": "/" + "".join(f"{name}/" for name in parts),
            "rename_supported": True,
            "symlink_supported": False,
        }
    )


def _listing_args(world: World, request: Request) -> Any:
    args = request.args.to_dict()
    args.setdefault("limit", str(world.settings.listing_limit))
    return args


def _selected(request: Request, documents: list[Document]) -> list[Document]:
    """Hidden names left out on request; repeated filters are alternatives; the default order is by type and name."""
    if request.args.get("show_hidden", "1").casefold() in ("0", "false"):
        documents = [each for each in documents if not each["name"].startswith(".")]
    filters = [query.clauses(text) for text in request.args.getlist("filter") if text]
    if filters:
        documents = [each for each in documents if any(query.passes(each, one, _TESTS) for one in filters)]
    return query.ordered(documents, request.args.get("orderby") or "type,name", _ORDER)


def entry_document(entry: Entry) -> Document:
    """A file as listings show it. A link shows what it leads to, and itself in the ``link_`` fields."""
    seen = entry.info if entry.target is None else entry.followed
    link = entry.info if entry.target is not None else None
    return {
        "DATA_TYPE": "file",
        "name": entry.name,
        "type": "invalid_symlink" if seen is None else _kind(seen.st_mode),
        "size": 0 if seen is None else seen.st_size,
        "permissions": f"{stat.S_IMODE((seen or entry.info).st_mode):04o}",
        "user": "emulated",
        "group": "emulated",
        "last_modified": listing_stamp((seen or entry.info).st_mtime),
        "link_target": entry.target,
        "link_user": "emulated" if link else None,
        "link_group": "emulated" if link else None,
        "link_size": link.st_size if link else None,
        "link_last_modified": listing_stamp(link.st_mtime) if link else None,
    }


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "dir"),
        (stat.S_ISREG, "file"),
        (stat.S_ISCHR, "chr"),
        (stat.S_ISBLK, "blk"),
        (stat.S_ISFIFO, "pipe"),
    ):
        if test(mode):
            return name
    return "other"


def stat_path(world: World, request: Request, collection_id: str) -> Response:
    who, place = _enter(world, request, collection_id, None)
    path = request.args.get("path") or place.collection.default_directory
    parts = parts_for(world, who, place, path, write=False)
    try:
        return json_reply(entry_document(place.root.entry(parts)))
    except FileNotFoundError as error:
        raise TransferRefusal(404, "NotFound", _not_found(place, path)) from error
    except NotADirectoryError as error:
        raise TransferRefusal(404, "NotFound", _not_found(place, path)) from error
    except OutsideError as error:
        raise path_denied(place.collection, path) from error


def _not_found(place: Place, path: str) -> str:
    collection = place.collection
    return (
        f"Path not found, Error (list)\nEndpoint: {collection.display_name} ({collection.id})\n"
        f"Message: No such file or directory\n---\nDetails: Error: '{path}' not found\\r\\n"
        "550-GlobusError: v=1 c=PATH_NOT_FOUND\\r\\n550-GridFTP-Errno: 2\\r\\n"
        "550-GridFTP-Reason: System error in stat\\r\\n"
        "550-GridFTP-Error-String: No such file or directory\\r\\n550 End.\\r\\n\n"
    )


def _listing_denied(path: str) -> TransferRefusal:
    return TransferRefusal(
        403, "ExternalError.DirListingFailed.PermissionDenied", f"Permission denied listing '{path}'"
    )


def _listing_error(place: Place, path: str, error: OSError) -> TransferRefusal:
    if isinstance(error, FileNotFoundError):
        message = f"Directory '{path}' not found on endpoint '{place.collection.id}'"
        return TransferRefusal(404, "ClientError.NotFound", message)
    if isinstance(error, OutsideError):
        return path_denied(place.collection, path)
    if isinstance(error, PermissionError):
        return _listing_denied(path)
    if isinstance(error, NotADirectoryError):
        message = f"'{path}' is not a directory"
        return TransferRefusal(502, "ExternalError.DirListingFailed.NotDirectory", message)
    return TransferRefusal(502, "ExternalError.DirListingFailed", f"Unable to list '{path}': {error.strerror}")


def mkdir(world: World, request: Request, collection_id: str) -> Response:
    document = body_of(request, "mkdir")
    who, place = _enter(world, request, collection_id, "pause_mkdir")
    path = text(document, "path")
    parts = parts_for(world, who, place, path, write=True)
    try:
        place.root.make_directory(parts)
    except FileExistsError as error:
        raise TransferRefusal(502, "ExternalError.MkdirFailed.Exists", f"Path '{path}' already exists") from error
    except FileNotFoundError as error:
        raise TransferRefusal(404, "ClientError.NotFound", f"The parent of '{path}' does not exist") from error
    except OutsideError as error:
        raise path_denied(place.collection, path) from error
    except PermissionError as error:
        raise TransferRefusal(
            403, "ExternalError.MkdirFailed.PermissionDenied", f"Permission denied at '{path}'"
        ) from error
    except OSError as error:
        raise TransferRefusal(502, "ExternalError.MkdirFailed", f"'{path}': {error.strerror}") from error
    return _done(request, "mkdir_result", "DirectoryCreated", "The directory was created successfully")


def rename(world: World, request: Request, collection_id: str) -> Response:
    document = body_of(request, "rename")
    who, place = _enter(world, request, collection_id, "pause_rename")
    old, new = text(document, "old_path"), text(document, "new_path")
    source = parts_for(world, who, place, old, write=True)
    target = parts_for(world, who, place, new, write=True)
    try:
        place.root.rename(source, target)
    except FileNotFoundError as error:
        raise TransferRefusal(404, "ClientError.NotFound", f"No such file or directory: '{old}'") from error
    except FileExistsError as error:
        raise TransferRefusal(502, "ExternalError.RenameFailed.Exists", f"Path '{new}' already exists") from error
    except OutsideError as error:
        raise path_denied(place.collection, old) from error
    except OSError as error:
        raise TransferRefusal(502, "ExternalError.RenameFailed", f"'{old}': {error.strerror}") from error
    return _done(request, "result", "FileRenamed", "File or directory renamed successfully")


def _done(request: Request, kind: str, code: str, message: str) -> Response:
    return json_reply(
        {
            "DATA_TYPE": kind,
            "code": code,
            "message": message,
            "request_id": request_id(),
            "resource": request.path,
        }
    )
