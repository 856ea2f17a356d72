from __future__ import annotations

from collections.abc import Iterator

import pytest
from whole_stack import opened

from emulators.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for the tests of one file; what they leave in it must not matter to each other."""
    with opened(tmp_path_factory.mktemp("stack")) as running:
        yield running
