"""A command whose words are not click's to read: Cobalt's grammar has its own idea of ``-h``, order and prefixes."""

from __future__ import annotations

import click


class RawCommand(click.Command):
    """Hands its words, as typed, to the function as ``words``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take all words."""
        ctx.params["words"] = tuple(args)
        return []
