"""Signs a user in through the real pages, as a browser would: reads forms, fills them in, posts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests


class SignInError(RuntimeError):
    """The pages did not lead back to the application. Carries the status and the page's words, no codes."""


@dataclass(slots=True)
class Form:
    action: str = ""
    fields: list[tuple[str, str, bool]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text: list[str] = []
        self._option: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(action=values.get("action", "")))
        elif tag == "input" and self.forms:
            kind, name, value = values.get("type", "text"), values.get("name", ""), values.get("value", "")
            selected = kind == "hidden" or "checked" in values
            self.forms[-1].fields.append((name, value, selected))
            self._option = value if kind in ("radio", "checkbox") else None
        elif tag == "button" and self.forms and values.get("name"):
            self.forms[-1].buttons.append((values["name"], values.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._option = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._option is not None and self.forms:
            labels = self.forms[-1].labels
            labels[self._option] = labels.get(self._option, "") + data


class Browser:
    """A browser with one cookie jar. Keeps its login between visits, as a person's browser does."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.pages: list[str] = []

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sign_in(
        self, url: str, username: str, *, deny: tuple[str, ...] = (), decision: str = "allow", follow: bool = False
    ) -> str:
        """Open a login link, go through the pages as ``username`` and return the address that they lead back to.

        The redirects before the login pages (the application's own) are followed. ``deny`` names optional scopes to
        leave out. With ``follow`` the final address is opened too, and where that ends is returned. Raises
        ``SignInError`` on any page that is not understood.
        """
        reply, auth = self._to_pages(url)
        for _ in range(8):
            if reply.is_redirect:
                target = urljoin(reply.url, reply.headers["Location"])
                if urlsplit(target).netloc == auth and "/v2/oauth2/" in target:
                    reply = self.session.get(target, allow_redirects=False)
                    continue
                return self.session.get(target).url if follow else target
            reply = self._submit(reply, username, deny, decision)
        raise SignInError("the login pages go round in circles")

    def press(self, url: str, decision: str) -> str:
        """Open a page of the application, press the button of its form that says ``decision``, and return the
        address of the page that answers. Raises ``SignInError`` if there is no such button, or it does not work."""
        reply = self.session.get(url)
        reader = _FormReader()
        reader.feed(reply.text)
        for form in reader.forms:
            buttons = [pair for pair in form.buttons if pair[1] == decision]
            if buttons:
                fields = [(name, value) for name, value, selected in form.fields if selected]
                answer = self.session.post(urljoin(reply.url, form.action), data=fields + buttons[:1])
                if answer.ok:
                    return answer.url
                reader.feed(answer.text)
        raise SignInError(f"{reply.status_code}: {' '.join(' '.join(reader.text).split())[-300:]}")

    def _to_pages(self, url: str) -> tuple[requests.Response, str]:
        """Open the link and follow it until the authorization page has answered."""
        for _ in range(8):
            reply = self.session.get(url, allow_redirects=False)
            if "/v2/oauth2/authorize" in url or not reply.is_redirect:
                return reply, urlsplit(url).netloc
            url = urljoin(url, reply.headers["Location"])
        raise SignInError("the link is redirected without end")

    def _submit(
        self, reply: requests.Response, username: str, deny: tuple[str, ...], decision: str
    ) -> requests.Response:
        reader = _FormReader()
        reader.feed(reply.text)
        if not reply.ok or not reader.forms:
            raise SignInError(f"{reply.status_code}: {' '.join(' '.join(reader.text).split())[-300:]}")
        form = reader.forms[0]
        self.pages.append(urlsplit(form.action).path)
        data = _filled(form, username, deny, decision)
        return self.session.post(urljoin(reply.url, form.action), data=data, allow_redirects=False)


def _filled(form: Form, username: str, deny: tuple[str, ...], decision: str) -> list[tuple[str, str]]:
    """The form as this user fills it in: the provider of the domain, the identity, the consents."""
    domain = username.rpartition("@")[2]
    choices = [name for name, _, _ in form.fields if name in ("provider", "identity")]
    if choices:
        wanted = domain if choices[0] == "provider" else username
        picked = [value for value, label in form.labels.items() if wanted in label.replace(",", " ").split()]
        if not picked:
            raise SignInError(f"{wanted} is not among the choices")
        hidden = [(name, value) for name, value, _ in form.fields if name not in ("provider", "identity")]
        return [*hidden, (choices[0], picked[0])]
    kept = [
        (name, value)
        for name, value, selected in form.fields
        if selected and not (name == "grant" and value.split(" ")[-1] in deny)
    ]
    buttons = [pair for pair in form.buttons if pair[1] == decision]
    return kept + buttons[:1]
