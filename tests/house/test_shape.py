"""The shape of a file: sizes, names, docstrings, and what no source file may contain."""

import ast
from pathlib import Path, PurePosixPath

MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 400, 60, 8
NAMELESS = {"utils", "util", "common", "misc", "base", "helpers"}
UNSAFE_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"torch.load", "torch.save", "yaml.load", "eval", "exec", "builtins.eval"}
NO_PAPER = {
    "__init__",
    "catalogue",
    "classifier",
    "convnext_names",
    "costs",
    "ghostnet_names",
    "guidance",
    "learning",
    "levit_names",
    "names",
    "networks",
    "published",
    "pretrained",
    "ranges",
    "residual_names",
    "shelf",
    "shell",
    "specs",
    "folding",
    "timm_levels",
    "timm_library",
    "timm_survey",
    "timm_training",
    "timm_weights",
    "weight_files",
    "weights",
}


def is_public(name: str) -> bool:
    return not name.startswith("_")


def test_no_file_is_longer_than_the_limit(python):
    lengths = {module.name: len(module.text.splitlines()) for module in python}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


def test_no_function_is_longer_than_the_limit(python):
    lengths = {
        f"{module.name}:{function.name}": function.end_lineno - function.lineno + 1
        for module in python
        for function in module.functions
    }
    assert {name: n for name, n in lengths.items() if n > MOST_FUNCTION_LINES} == {}


def test_no_constructor_has_more_parameters_than_the_limit(source):
    counts = {
        f"{module.name}:{function.lineno}": len(
            [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        )
        - 1
        for module in source
        for function in module.functions
        if function.name == "__init__"
    }
    assert {name: n for name, n in counts.items() if n > MOST_PARAMETERS} == {}


def test_no_public_function_takes_arbitrary_keywords(source):
    assert [
        f"{module.name}:{function.name}"
        for module in source
        for function in module.functions
        if function.args.kwarg and (is_public(function.name) or function.name == "__init__")
    ] == []


def test_every_file_is_named_after_an_idea(python):
    parts = {module.name: PurePosixPath(module.name).with_suffix("").parts for module in python}
    assert [name for name, words in parts.items() if NAMELESS & set(words)] == []


def test_nothing_public_lacks_a_docstring(source):
    missing = [module.name for module in source if not ast.get_docstring(module.tree)]
    for module in source:
        missing += [f"{module.name}:{name}" for name in undocumented(module.tree)]
    assert missing == []


def undocumented(scope: ast.Module | ast.ClassDef) -> list[str]:
    """Returns the public classes, functions and methods of a scope that have no docstring."""
    names: list[str] = []
    for node in scope.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not is_public(node.name):
            continue
        if not ast.get_docstring(node) and "overload" not in map(ast.unparse, node.decorator_list):
            names.append(node.name)
        if isinstance(node, ast.ClassDef):
            names += [f"{node.name}.{name}" for name in undocumented(node)]
    return names


def test_packages_hold_nothing_but_a_docstring(source):
    allowed = {"src/vertebra/__init__.py", "src/vertebra/recipes/__init__.py"}
    packages = [module for module in source if PurePosixPath(module.name).stem == "__init__"]
    full = [module.name for module in packages if len(module.tree.body) > 1]
    assert set(full) <= allowed


def test_every_paper_is_named_where_it_is_implemented(source):
    due = [
        module
        for module in source
        if module.name.split("/")[2] in ("models", "methods")
        and PurePosixPath(module.name).stem not in NO_PAPER
    ]
    documented = {module.name: ast.get_docstring(module.tree) or "" for module in due}
    assert documented, "no model and no method found: has a folder been renamed?"
    assert [name for name, text in documented.items() if "Source:" not in text] == []


def test_source_asserts_nothing(source):
    found = [
        f"{module.name}:{node.lineno}"
        for module in source
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_source_runs_no_code_out_of_data(source):
    assert [
        f"{module.name}:{place}" for module in source for place in unsafe_places(module.tree)
    ] == []


def test_the_search_for_unsafe_code_finds_it():
    code = "import pickle\nfrom torch import load\ntorch.save(x)\neval(x)\nmodel.eval()\nnn.exec(x)"
    assert [place.split()[0] for place in unsafe_places(ast.parse(code))] == ["1", "2", "3", "4"]


def unsafe_places(tree: ast.Module) -> list[str]:
    """Returns "line what" for every import and call that can run code out of data."""
    found: list[str] = []
    for node in ast.walk(tree):
        names: set[str] = set()
        if isinstance(node, ast.Import):
            names = {each.name.split(".")[0] for each in node.names} & UNSAFE_IMPORTS
        elif isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{each.name}" for each in node.names}
            names = (members & UNSAFE_CALLS) | ({f"{node.module}".split(".")[0]} & UNSAFE_IMPORTS)
        elif isinstance(node, ast.Call):
            names = {ast.unparse(node.func)} & UNSAFE_CALLS
            names |= {word.arg for word in node.keywords if word.arg == "allow_pickle"}
        found += [f"{node.lineno} {name}" for name in sorted(names)]
    return found


def test_tests_mirror_the_source(root: Path):
    source, tests = root / "src" / "vertebra", root / "tests"
    folders = {path.name for path in source.iterdir() if (path / "__init__.py").is_file()}
    extra = {path.name for path in tests.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert extra - folders <= {"house", "smoke", "docs"}
