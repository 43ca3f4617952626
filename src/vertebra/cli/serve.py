"""`vertebra serve`."""

import sys
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import MissingExtra, RecipeError
from vertebra.records import RunDirectory

if TYPE_CHECKING:
    from vertebra.export.listening import Port
    from vertebra.recipes.serving import ServedRun

_LIBRARIES = ("fastapi", "uvicorn", "python_multipart")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Answer over HTTP with a run: image files in, classes out; and a page to try it in a browser.

    Only this machine reaches it unless --host says otherwise. Ctrl-C or SIGTERM ends it when what
    is under way is answered. Needs the extra vertebra[serve].
    """

    run: Annotated[Positional[Path], shown("RUN")]
    """The run directory."""
    host: Annotated[str, shown("ADDRESS")] = "127.0.0.1"
    """The address of this machine to listen on; 0.0.0.0 is all of them, and open to everybody."""
    port: Annotated[int, shown("N")] = 8000
    """Where it listens; 0 takes any port that is free, and the address says which."""
    device: Annotated[str | None, shown("NAME")] = None
    """One of auto, cpu, cuda, cuda:1, mps; default is the run's own."""
    no_optimize: Annotated[bool, shown()] = False
    """Compute with the network as it was trained, not with its fast form, which is first checked
    to give the same answers."""
    top: Annotated[int, shown("K")] = 5
    """How many classes an answer names where a request does not say, the most probable first."""
    batch_size: Annotated[int, shown("N")] = 32
    """Images that go through the network at once, at most: those that have come in meanwhile."""
    max_waiting: Annotated[int, shown("N")] = 256
    """Images that may be under way at once; a request beyond is told to come again."""
    max_upload_mb: Annotated[float, shown("MB")] = 32
    """How large a request may be, with all its files."""


def run(arguments: Arguments) -> int:
    """Serves until it is told to stop."""
    from vertebra.export.limits import Limits

    place = RunDirectory(arguments.run).require()
    if not all(map(find_spec, _LIBRARIES)):
        raise MissingExtra(
            "FastAPI and uvicorn are not installed; bring them with `pip install vertebra[serve]`"
        )
    if not 0 <= arguments.port < 2**16:
        raise RecipeError(f"port={arguments.port}; give 1 to 65535, or 0 for any that is free")
    limits = Limits(
        top=arguments.top,
        batch_size=arguments.batch_size,
        max_waiting=arguments.max_waiting,
        max_upload_mb=arguments.max_upload_mb,
    )

    from vertebra.export.desk import Desk
    from vertebra.export.listening import Port, Server
    from vertebra.export.serving import application
    from vertebra.recipes.deploy import load_run
    from vertebra.recipes.serving import ServedRun

    port = Port.take(arguments.host, arguments.port)
    with port.socket:
        deployed = load_run(place.path, device=arguments.device, keeps_memory=False)
        served = ServedRun(
            deployed,
            batch_size=limits.batch_size,
            optimize=not arguments.no_optimize,
            on_refusal=partial(print, file=sys.stderr),
        )
        with Desk(served, limits) as desk:
            app = application(desk, page=_page(served), facts=served.facts())
            server = Server(app, port, on_ready=lambda: _show(served, port))
            server.answer()
    _show_end(server.stopped_by, desk.batching.done)
    return 0


def _page(served: "ServedRun") -> str:
    from vertebra.report.serving_page import serving_page

    return serving_page(served.name, served.classes, facts=_facts(served))


def _facts(served: "ServedRun") -> dict[str, str]:
    """Returns what the network takes and how it computes, for people."""
    from vertebra.report.quantities import number_of

    facts = served.facts()
    together = number_of(facts["batch_size"], "image")
    form = "fast form" if served.is_fast else "as it was trained"
    size = facts["preprocess"]["image_size"]
    return {
        "input": f"{facts['preprocess']['channels']} x {size} x {size} px",
        "computes in": f"{facts['precision']}, {form}, up to {together} at once",
        "device": facts["device"],
        "recipe": facts["recipe"],
    }


def _show(served: "ServedRun", port: "Port") -> None:
    """Prints where it answers, with what, and what to type next."""
    from vertebra.report.terminal import class_list, facts_table, next_commands, open_console

    console = open_console()
    everybody = "everybody who reaches this machine; nobody is asked who they are"
    told = {
        "address": port.address,
        "open to": "this machine alone" if port.is_loopback else everybody,
        "network": served.name,
        "classes": class_list(served.classes),
    }
    console.print(facts_table(told | _facts(served)))
    console.print()
    console.print(next_commands(f"curl -F image=@IMAGE {port.address}/predict"))


def _show_end(stopped_by: str | None, answered: int) -> None:
    from vertebra.report.quantities import number_of

    print(f"stopped by {stopped_by} after {number_of(answered, 'image')}")
