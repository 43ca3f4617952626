"""Files that come with scikit-learn, read without importing it, which takes three seconds."""

from importlib.util import find_spec
from pathlib import Path

from vertebra.errors import DataError


def read_bundled(name: str) -> bytes:
    """Returns the content of a file, as "images/china.jpg", of `sklearn.datasets`.

    Raises:
        DataError: scikit-learn is missing, or no longer brings the file.
    """
    package = find_spec("sklearn")  # finds, and does not import
    if package is None or package.origin is None:
        raise DataError("scikit-learn, which brings these images, is missing; install it")
    path = Path(package.origin).parent / "datasets" / name
    if not path.is_file():
        raise DataError(
            f"scikit-learn has no {path}; install one that brings it, for example an earlier one"
        )
    return path.read_bytes()
