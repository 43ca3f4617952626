from pathlib import Path

import pytest
from tests.recipes.drawn import draw_album


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 36 images to train on, 18 to choose by and 18 to report on; leave it alone."""
    return draw_album(tmp_path_factory.mktemp("drawn") / "album", train=12, val=6, test=6)
