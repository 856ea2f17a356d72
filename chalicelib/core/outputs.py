"""What moves out when a job has ended: the document's outputs against what the site found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.document import Document, StageOut
from chalicelib.core.job import Leg, LegStatus, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the site found where an output should be. ``kind`` is file, directory or missing."""

    item: int
    kind: str
    files: int = 0
    bytes: int = 0
    links: tuple[str, ...] = ()
    """Symbolic links in it, which Globus would skip (the first few)."""


OUTPUT_WORDS: Mapping[str, str] = {
    "output_missing": "a required output was not there when the job ended",
    "output_is_directory": "an output is a directory: end its source with a slash to move what is in it",
    "output_is_file": "an output is a file, but its source ends with a slash, which means a directory",
    "output_has_links": "an output holds symbolic links, which Globus does not move: say symlinks: ignore, or copy",
}


def succeeded(outcome: Outcome, exit_code: int | None) -> bool:
    return outcome is Outcome.OK and exit_code == 0


def legs_at_exit(
    document: Document, outcome: Outcome, exit_code: int | None, found: Sequence[Found]
) -> tuple[Leg, ...]:
    """The legs of the outputs that this end calls for; those that cannot move are failed already."""
    seen = {each.item: each for each in found}
    wish = "on_cancel" if outcome is Outcome.CANCELED else "on_success" if succeeded(outcome, exit_code) else "on_error"
    return tuple(
        _leg(index, item, seen.get(index) or Found(item=index, kind="missing"))
        for index, item in enumerate(document.stage_out)
        if item.when & {wish, "always"}
    )


def _leg(index: int, item: StageOut, found: Found) -> Leg:
    if found.kind == "missing":
        if item.optional:
            return Leg(item=index, status=LegStatus.ABSENT)
        return Leg(item=index, status=LegStatus.FAILED, error="output_missing")
    wants_directory = item.source == "" or item.source.endswith("/")
    if wants_directory != (found.kind == "directory"):
        return Leg(item=index, status=LegStatus.FAILED, error=f"output_is_{found.kind}")
    if found.links and item.symlinks == "fail":
        return Leg(item=index, status=LegStatus.FAILED, error="output_has_links")
    # The site counts all that is there: how much of it the filters let through, nobody knows beforehand.
    files = None if item.options.rules else found.files
    return Leg(item=index, files=files, bytes=found.bytes)
