"""The documents are true: their Python runs, their commands exist, their tables are complete."""

import re
import shlex
from pathlib import Path

import pytest

from vertebra.cli.main import COMMANDS, STUDIES, command
from vertebra.recipes.shelf import RECIPES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Returns the fenced blocks of a language, each with the number of its first line."""
    text = page.read_text("utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in found]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values: dict[str, object] = {}
    for line, code in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), values)


COMMAND_LINES = [
    pytest.param(line, id=f"{name(page)}:{number + place}")
    for page in PAGES
    for language, prompt in (("sh", ""), ("console", r"\$ "))
    for number, block in blocks(page, language)
    for place, line in enumerate(block.splitlines())
    if re.match(rf"{prompt}(uv run |pip .* && uv run )?vertebra ", line)
]


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_line_of_a_page_is_one_that_is_understood(line, monkeypatch):
    words = shlex.split(line.partition("vertebra ")[2], comments=True)
    ran = []
    for each in (*(name for name in COMMANDS if name != "study"), *(f"study {q}" for q in STUDIES)):
        module = f"vertebra.cli.{each.replace('-', '_').replace(' ', '_')}"
        monkeypatch.setattr(f"{module}.run", lambda arguments: ran.append(1) or 0)
    assert command(words) == 0
    assert ran or words[0].startswith("-")


@pytest.mark.parametrize("each", COMMANDS)
def test_the_page_on_the_command_line_has_a_section_for_every_command(each):
    page = (ROOT / "docs/command-line.md").read_text("utf-8")
    assert f"\n## {each}\n" in page
    assert f"(#{each})" in page
    assert f"vertebra {each}" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("each", RECIPES)
def test_the_page_on_recipes_names_every_recipe(each):
    assert f"`{each}`" in (ROOT / "docs/recipes.md").read_text("utf-8")
