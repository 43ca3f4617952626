"""Names are found in explicit dictionaries, and no entry goes untested."""

import ast
import re
from pathlib import Path, PurePosixPath

import pytest

SHELVES = ("models", "recipes")


def entries(tree: ast.Module) -> list[str]:
    """Returns the keys of the dictionaries that a module spells out at its top level."""
    values = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    shelves = [value for value in values if isinstance(value, ast.Dict)]
    return [ast.literal_eval(key) for shelf in shelves for key in shelf.keys if key]


@pytest.mark.parametrize("folder", SHELVES)
def test_a_shelf_is_spelt_out_under_plain_names(source, folder):
    shelf = next(each for each in source if each.name == f"src/vertebra/{folder}/shelf.py")
    names = entries(shelf.tree)
    assert names, f"{shelf.name} spells out no dictionary"
    assert len(names) == len(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", name)] == []


@pytest.mark.parametrize("folder", SHELVES)
def test_one_sheet_of_checks_runs_over_a_whole_shelf(root: Path, folder):
    texts = [path.read_text("utf-8") for path in (root / "tests" / folder).glob("test_*.py")]
    imports = f"from vertebra.{folder}.shelf import"
    assert any(imports in text and "parametrize" in text for text in texts), (
        f"no test in tests/{folder} is parametrised over the names of {folder}/shelf.py"
    )


def test_nothing_registers_itself(source):
    found = [
        f"{module.name}:{node.lineno}"
        for module in source
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        if any("register" in ast.unparse(each) for each in node.decorator_list)
    ]
    assert found == []


def test_importing_a_module_runs_nothing_but_definitions(source):
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.If, ast.ClassDef)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{module.name}:{node.lineno}"
        for module in source
        if PurePosixPath(module.name).stem != "__main__"
        for node in module.tree.body
        if not isinstance(node, (*allowed, *functions)) and not is_docstring(node)
    ]
    assert found == []


def is_docstring(node: ast.stmt) -> bool:
    """Whether the statement is a text alone, as docstrings of modules and of constants are."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
