"""The HTML of the login pages. Plain forms: no script, nothing fetched. Every value is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from emulators.globus.config import Identity, Provider

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:3rem auto;padding:0 1rem;color:#1d2733}"
    "h1{font-size:1.3rem}form{border:1px solid #cdd5de;border-radius:6px;padding:1rem 1.25rem}"
    "label{display:block;margin:.35rem 0}button{margin:.75rem .5rem 0 0;padding:.4rem 1rem}"
    "code{word-break:break-all}.note{color:#56616e}.dependent{margin-left:1.5rem}"
)


def page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f'<body><p class="note">Globus Auth, emulated on this machine</p><h1>{escape(title)}</h1>{body}</body></html>'
    )


def error_page(title: str, message: str) -> str:
    return page(title, f"<p>{escape(message)}</p>")


def _form(action: str, attempt: str, csrf: str, inner: str) -> str:
    return (
        f'<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="attempt" value="{escape(attempt)}">'
        f'<input type="hidden" name="csrf" value="{escape(csrf)}">{inner}</form>'
    )


def _note(message: str | None) -> str:
    return f"<p>{escape(message)}</p>" if message else ""


def provider_page(attempt: str, csrf: str, providers: Iterable[Provider], client: str, message: str | None) -> str:
    """Choose the organisation to sign in with."""
    options = "".join(
        f'<label><input type="radio" name="provider" value="{escape(each.id)}"{" checked" if not index else ""}> '
        f'{escape(each.name)} <span class="note">{escape(", ".join(each.domains))}</span></label>'
        for index, each in enumerate(providers)
    )
    inner = f'{options}<button type="submit">Continue</button>'
    form = _form("/v2/web/provider", attempt, csrf, inner)
    return page(f"Log in to use {client}", f"{_note(message)}<p>Use your organizational login</p>{form}")


def identity_page(attempt: str, csrf: str, provider: str, identities: Iterable[Identity], message: str | None) -> str:
    """Sign in as one of a provider's identities."""
    options = "".join(
        f'<label><input type="radio" name="identity" value="{escape(each.id)}"{" checked" if not index else ""}> '
        f"{escape(each.username)} &mdash; {escape(each.name)}</label>"
        for index, each in enumerate(identities)
    )
    inner = f'{options}<button type="submit">Sign in</button>'
    return page(f"Sign in with {provider}", _note(message) + _form("/v2/web/identity", attempt, csrf, inner))


def consent_page(
    attempt: str, csrf: str, client: str, username: str, consents: Iterable[tuple[tuple[str, ...], bool]]
) -> str:
    """Each scope that is asked for; the optional ones can be refused one by one."""
    rows = "".join(_consent_row(path, optional) for path, optional in consents)
    buttons = (
        '<button type="submit" name="decision" value="allow">Allow</button>'
        '<button type="submit" name="decision" value="deny">Deny</button>'
    )
    form = _form("/v2/web/consent", attempt, csrf, rows + buttons)
    return page(f"{client} would like to", f"<p>Signed in as {escape(username)}</p>{form}")


def _consent_row(path: tuple[str, ...], optional: bool) -> str:
    name = f"<code>{escape(path[-1])}</code>"
    kind = ' class="dependent"' if len(path) > 1 else ""
    if not optional:
        return f"<p{kind}>{name}</p>"
    value = escape(" ".join(path))
    return f'<label{kind}><input type="checkbox" name="grant" value="{value}" checked> {name}</label>'


def code_page(code: str) -> str:
    """The page of the flow in which the user pastes the code."""
    return page(
        "Authorization code", f'<p>Enter this code in the application:</p><p><code id="code">{escape(code)}</code></p>'
    )
