"""What several tests of the report share."""

from pathlib import Path

import pytest

from tests.report.made_pages import make_pages


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of every kind, by name."""
    return make_pages(tmp_path_factory.mktemp("pages"))
