"""The source as the house tests see it: every file, parsed once for those of a file."""

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """A Python file: `name` is its path from the repository's root."""

    name: str
    text: str
    tree: ast.Module

    @property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, nested ones too."""
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        return [node for node in ast.walk(self.tree) if isinstance(node, kinds)]


def parse(folder: str) -> list[Module]:
    """Returns the Python files under a folder of the repository, by name."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    texts = [(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]
    return [Module(name, text, ast.parse(text)) for name, text in texts]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="module")
def source() -> list[Module]:
    """The modules of the package."""
    return parse("src/vertebra")


@pytest.fixture(scope="module")
def python(source: list[Module]) -> list[Module]:
    """Every Python file of ours: package, tests, benchmarks."""
    return [*source, *parse("tests"), *parse("benchmarks")]


@pytest.fixture(scope="session")
def files(root: Path) -> list[str]:
    """Every file that is committed or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in listing.stdout.splitlines() if (root / name).is_file()]
