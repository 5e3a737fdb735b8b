"""The finished comparison that the tests of predicting and of scoring share."""

from pathlib import Path

import pytest

from tests.made_networks import make_networks


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A folder with the workdir `run` and its images in `images`, which no test changes."""
    folder = tmp_path_factory.mktemp("finished")
    make_networks(folder)
    return folder
