"""The scan for secrets listens at every way out of a whole stack."""

from __future__ import annotations

from pathlib import Path

import leak_scan
from leak_book import Book, Kind
from whole_stack import document, finished, opened


def test_were_a_users_id_a_secret_the_scan_would_find_it_in_answers_items_and_logs(tmp_path: Path) -> None:
    with leak_scan.instead(Book()) as book:
        with opened(tmp_path) as stack:
            assert stack.login is not None
            assert book.secrets() > 10
            book.learn(Kind.TOKEN, stack.login.client.me().id)
            assert book.findings == []
            number = stack.login.client.submit(document(stack)).jobs[0].id
            assert finished(stack, number).state == "completed"
            stack.login.client.me()
            stack.sign_in()
        found = "\n".join(book.findings)
    for place in ("in item", "answer's body GET /v1/me", "log of reconcile", "log of agent", "answer of a function"):
        assert place in found
