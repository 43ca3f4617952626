"""Who imports whom: the floors of docs/design.md, and what starts without torch."""

import os
import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

CONTRACT = "pyproject.toml"
LIGHT = ("errors", "lookup", "duration", "records", "cli/main", "report")


def run_linter(folder: Path, package: Path) -> subprocess.CompletedProcess[str]:
    """Holds the package in a folder to the floors of this repository."""
    code = f"from importlinter import cli; exit(cli.lint_imports({CONTRACT!r}, no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_goes_down(root: Path, monkeypatch, capsys):
    monkeypatch.chdir(root)
    broken = lint_imports(CONTRACT, no_cache=True, no_logo=True)
    assert not broken, capsys.readouterr().out


def test_a_late_import_of_a_neighbour_breaks_the_floors(root: Path, tmp_path: Path):
    floors = "cli recipes methods tasks models data engine bench report"
    grounds = "layers contracts duration records lookup seeding cores uncompiled errors"
    package = tmp_path / "src" / "vertebra"
    package.mkdir(parents=True)
    for name in ("__init__", *floors.split(), *grounds.split()):
        (package / f"{name}.py").touch()
    (tmp_path / CONTRACT).write_text((root / CONTRACT).read_text("utf-8"), "utf-8")
    assert run_linter(tmp_path, package.parent).returncode == 0

    (package / "report.py").write_text("def draw():\n    from vertebra import engine\n")
    broken = run_linter(tmp_path, package.parent)
    assert broken.returncode == 1
    assert "vertebra.report is not allowed to import vertebra.engine" in broken.stdout


def test_help_errors_and_reports_start_without_torch(root: Path):
    package = root / "src" / "vertebra"
    files = [
        path for name in LIGHT for path in (package / f"{name}.py", *(package / name).glob("*.py"))
    ]
    names = [
        path.relative_to(package.parent).with_suffix("").as_posix()
        for path in files
        if path.exists()
    ]
    modules = ["vertebra", *(name.replace("/", ".") for name in names)]
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; "
        "print([name for name in ('torch', 'torchvision', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stdout == "[]\n", found.stderr
