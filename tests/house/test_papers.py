"""The papers of the house: README, links, scripts, and what may not be committed."""

import os
import re
from pathlib import Path, PurePosixPath

from vertebra.records import RunDirectory

TRAIN = "pip install uv && uv run vertebra train"
TEST = "pip install uv && uv run pytest"
FIRST_SCREEN = 40

# Split, so that this file does not match itself.
HOSTS = re.compile(
    r"(py" + r"pi\.org|python" + r"hosted\.|download\.py" + r"torch|npm" + r"js\.org"
    r"|ana" + r"conda\.org|index" + r"-url|https?://(registry|files|deb)\.)"
)
FOLDERS = "|".join(("work", "farm", "root", "home", "Users", "opt"))
PLACES = re.compile(rf"(^|[^\w.:/-])/({FOLDERS})/\w")
PICTURES = {".png", ".jpg", ".svg", ".gif"}


def tree(readme: str) -> dict[str, list[str]]:
    """Returns the README's file tree: for each folder at its top, what it lists inside."""
    block = re.search(r"```text\n(src/vertebra/\n.*?)```", readme, re.DOTALL)
    assert block, "the README has no fenced tree that starts with src/vertebra/"
    folders: dict[str, list[str]] = {}
    for line in block[1].splitlines():
        name = line.split()[0]
        if line.startswith(" "):
            folders[[*folders][-1]].append(name)
        else:
            folders[name] = []
    return folders


def test_first_screen_gives_the_two_commands(root: Path):
    screen = (root / "README.md").read_text("utf-8").splitlines()[:FIRST_SCREEN]
    assert TRAIN in screen
    assert TEST in screen
    assert "uv run vertebra train PATH" in screen


def test_readme_tree_is_the_tree_on_disk(root: Path, files: list[str]):
    listed = tree((root / "README.md").read_text("utf-8"))
    paths = [PurePosixPath(name) for name in files if not name.startswith(".")]
    folders = {f"{path.parts[0]}/" for path in paths if len(path.parts) > 1}
    assert set(listed) == folders - {"src/"} | {"src/vertebra/"}

    package = [
        path.relative_to("src/vertebra") for path in paths if path.is_relative_to("src/vertebra")
    ]
    packages = {f"{path.parts[0]}/" for path in package if len(path.parts) > 1}
    modules = {path.name for path in package if len(path.parts) == 1 and path.suffix == ".py"}
    modules = {name for name in modules if not name.startswith("_")}
    assert sorted(listed["src/vertebra/"]) == sorted(packages | modules)


def test_ci_runs_the_command_of_the_readme_and_the_checks(root: Path):
    script = (root / ".ci" / "run").read_text("utf-8")
    assert re.search(rf"^\W*{re.escape(TEST)}\W", script, re.MULTILINE)
    assert re.search(r"^scripts/check$", script, re.MULTILINE)
    assert "set -euo pipefail" in script


def test_scripts_can_be_run(root: Path):
    for name in ("scripts/check", "scripts/test", ".ci/run"):
        assert os.access(root / name, os.X_OK), f"chmod +x {name}"
    for name in ("scripts/check", "scripts/test"):
        assert (root / name).read_text("utf-8").startswith("#!/bin/sh\n")


def test_every_link_between_documents_leads_somewhere(root: Path, files: list[str]):
    broken = [
        f"{name}: {link}"
        for name in files
        if name.endswith(".md")
        for link in re.findall(r"\]\(([^)#\s]+)", (root / name).read_text("utf-8"))
        if "://" not in link and not (root / name).parent.joinpath(link).exists()
    ]
    assert broken == []


def test_index_links_every_page(root: Path):
    pages = [path.relative_to(root / "docs").as_posix() for path in (root / "docs").rglob("*.md")]
    index = (root / "docs" / "index.md").read_text("utf-8")
    assert [name for name in pages if name != "index.md" and f"({name})" not in index] == []


def test_page_on_the_run_directory_names_its_files(root: Path):
    page = (root / "docs" / "run-directory.md").read_text("utf-8")
    paths = vars(RunDirectory(Path("run"))).values()
    names = [path.name for path in paths if path != Path("run")]
    assert [name for name in names if f"`{name}" not in page] == []


def test_no_file_names_a_package_host_or_a_place_on_this_machine(root: Path, files: list[str]):
    found: list[str] = []
    for name in files:
        if PurePosixPath(name).suffix in PICTURES:
            continue
        for number, line in enumerate((root / name).read_text("utf-8").splitlines(), 1):
            if HOSTS.search(line) or PLACES.search(line):
                found.append(f"{name}:{number}: {line.strip()[:80]}")
    assert found == []


def test_the_search_for_hosts_and_places_finds_them():
    assert HOSTS.search("--index" + "-url=x")
    assert HOSTS.search("at https://files" + ".example.org/x")
    assert PLACES.search('open("/ho' + 'me/ada/x")')
    assert not PLACES.search("see https://example.org/home/page, root/shared/data and src/work/x")


def test_no_locked_resolution_is_committed(files: list[str]):
    assert not {"uv.lock", "poetry.lock", "pdm.lock"} & set(files)
