"""The web pages: templates beside this file, filled in here, every value escaped.

``string.Template`` and not a template engine: an engine costs more of a cold start than the pages are worth. A
page needs nothing but itself: its one style sheet is inside it, allowed by its hash, and no script runs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
from pathlib import Path
from string import Template

_HERE = Path(__file__).parent


class Markup(str):
    """Text that is HTML already. Only this package makes it, from templates."""

    __slots__ = ()


def page(title: str, body: Markup) -> str:
    """A whole page."""
    return _fill("layout.html", {"title": title, "style": Markup(_style()), "body": body})


def message(title: str, *paragraphs: str, link: tuple[str, str] | None = None) -> str:
    """A page that says something, with at most one thing to do next: (address, words)."""
    said = Markup("".join(_fill("paragraph.html", {"words": words}) for words in paragraphs))
    action = Markup(_fill("action.html", {"address": link[0], "words": link[1]}) if link else "")
    return page(title, Markup(_fill("message.html", {"title": title, "said": said, "action": action})))


def enter_code(address: str) -> str:
    """The page that asks for the code on the terminal."""
    return page("Connect a terminal", Markup(_fill("enter_code.html", {"address": address})))


def approve(fields: dict[str, str]) -> str:
    """The page that asks whether a terminal may have a key; ``fields`` are those of its template."""
    return page("Connect a terminal?", Markup(_fill("approve.html", fields)))


@functools.cache
def content_security_policy() -> str:
    """Nothing is loaded, nothing runs, nobody frames us, forms go to us alone; the style is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@functools.cache
def _style() -> str:
    return (_HERE / "style.css").read_text("utf-8")


@functools.cache
def _template(name: str) -> Template:
    return Template((_HERE / name).read_text("utf-8"))


def _fill(name: str, fields: dict[str, str]) -> str:
    """A template with its fields; what is no Markup is escaped. A missing or unknown field is our own fault."""
    safe = {field: value if isinstance(value, Markup) else html.escape(value) for field, value in fields.items()}
    return _template(name).substitute(safe)
