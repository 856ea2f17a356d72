"""The version of the service; the client's is in ``pyproject.toml``, and ``make check`` compares them."""

VERSION = "0.1.0"
