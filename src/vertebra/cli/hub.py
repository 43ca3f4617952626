"""`vertebra hub`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Publish a run on the Hugging Face Hub, or bring a published one here.

    `push RUN OWNER/NAME` sends recipe, classes, preprocessing, record, the selected weights and a
    model card; no image, no file name, no folder of this machine. `pull OWNER/NAME` makes a run
    directory again. Needs the extra vertebra[hub], and for push a login (`hf auth login`).
    """

    action: Annotated[Positional[Literal["push", "pull"]], shown("ACTION")]
    """One of push, pull."""
    names: Annotated[Positional[tuple[str, ...]], shown("[RUN] OWNER/NAME")] = ()
    """The run directory, for push only; then the repository."""
    licence: Annotated[str | None, shown("ID")] = None
    """Under which licence the model is published; push has no default for it."""
    private: Annotated[bool, shown()] = False
    """Make a repository that only you can see."""
    update: Annotated[bool, shown()] = False
    """Add to a repository that exists; who can see it stays as it is."""
    dry_run: Annotated[Path | None, shown("FOLDER")] = None
    """Write what would be pushed into this folder, and push nothing."""
    out: Annotated[Path | None, shown("FOLDER")] = None
    """The run directory that pull makes; default is runs/NAME."""


def run(arguments: Arguments) -> int:
    """Publishes or fetches; prints where it is."""
    wanted = {"push": ("RUN", "OWNER/NAME"), "pull": ("OWNER/NAME",)}[arguments.action]
    if len(arguments.names) != len(wanted):
        raise RecipeError(
            f"`vertebra hub {arguments.action}` got {len(arguments.names)} names; "
            f"write `vertebra hub {arguments.action} {' '.join(wanted)}`"
        )
    if arguments.action == "push":
        _push(Path(arguments.names[0]), arguments.names[1], arguments)
    else:
        _pull(arguments.names[0], arguments)
    return 0


def _push(directory: Path, repository: str, arguments: Arguments) -> None:
    from vertebra.export.licences import require_licence
    from vertebra.records import RunDirectory

    licence = require_licence(arguments.licence)
    place = RunDirectory(directory).require()

    from vertebra.export.hub import push, require_repository
    from vertebra.export.hugging_face import HuggingFace
    from vertebra.export.published import write_published

    require_repository(repository)
    if arguments.dry_run is not None:
        folder = RunDirectory(arguments.dry_run).require_free().path
        write_published(place, folder, name=repository, licence=licence)
        print(f"{repository} would hold what is in {folder}; nothing was sent")
        return
    address = push(
        HuggingFace(),
        place,
        repository,
        licence=licence,
        private=arguments.private,
        update=arguments.update,
    )
    print(address)


def _pull(repository: str, arguments: Arguments) -> None:
    from vertebra.export.hub import pull, require_repository
    from vertebra.export.hugging_face import HuggingFace
    from vertebra.recipes.deploy import load_run
    from vertebra.records import RunDirectory, read_record
    from vertebra.report.terminal import next_commands, open_console

    name = require_repository(repository).partition("/")[2]
    place = RunDirectory(arguments.out or Path("runs") / name)
    pull(HuggingFace(), repository, place, check=lambda path: load_run(path, device="cpu"))
    record = read_record(place)
    print(f"{place.path}: {record.model}, licence {record.licence or 'not stated'}")
    given = shlex.quote(str(place.path))
    open_console().print(next_commands(f"vertebra predict {given} IMAGE"))
