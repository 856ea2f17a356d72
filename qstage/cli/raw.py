"""A command whose words are not click's to read: Cobalt's grammar has its own idea of ``-h``, order and prefixes.

Its help is laid out from the same table that its words are read by, and so are the options that a shell completes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from qstage.cobalt.words import Option

JSON = Option(dest="json", names=("--json",), takes="nothing", help="print what the service said")


class RawCommand(click.Command):
    """Hands its words, as typed, to the function as ``words``. ``tables`` are Cobalt's options, and ours."""

    def __init__(self, *args: Any, tables: tuple[Sequence[Option], Sequence[Option]] = ((), ()), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tables = tables

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take all words."""
        ctx.params["words"] = tuple(args)
        return []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """What may follow the command's name."""
        return ["[OPTIONS]", "..."]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Cobalt's options as its own table has them, then those that only qstage knows."""
        for title, options in zip(("Cobalt's options", "Options of qstage"), self._tables, strict=True):
            if options:
                with formatter.section(title):
                    formatter.write_dl([(_spelled(option), option.help) for option in options])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options that begin so, or else files."""
        if incomplete.startswith("-"):
            options = [option for table in self._tables for option in table]
            return [
                CompletionItem(name, help=option.help)
                for option in options
                for name in option.names
                if name.startswith(incomplete)
            ]
        return [CompletionItem(incomplete, type="file")]


def taken(words: Sequence[str], flags: Sequence[Option]) -> tuple[list[str], frozenset[str]]:
    """Take our own flags out of a command's words, wherever they stand: the words left, and which flags, by dests."""
    names = {name: option.dest for option in flags if option.takes == "nothing" for name in option.names}
    return [word for word in words if word not in names], frozenset(names[word] for word in words if word in names)


def _spelled(option: Option) -> str:
    value = {"nothing": "", "text": " TEXT", "int": " NUMBER"}[option.takes]
    return ", ".join(option.names) + value
