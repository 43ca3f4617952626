"""The command `vertebra`: finds the command's module, lets tyro read its arguments, and reports
errors.

Each command is a module beside this one with a dataclass `Arguments` and `run(arguments) -> exit
code`. Modules import torch only inside `run`, so that help and misspelt arguments answer at once.
"""

import inspect
import io
import sys
import textwrap
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn

from vertebra.cli.ending import Ending, is_full, say_full
from vertebra.engine.heap import give_buffers_back
from vertebra.engine.said import is_first_to_say
from vertebra.errors import VertebraError
from vertebra.lookup import find

COMMANDS: Mapping[str, str] = {
    "check": "Read every image of a data set; list what cannot be used and why.",
    "plan": "Say what a run would take, or what to train in a given time.",
    "train": "Train a classifier on your images, or on handwritten digits.",
    "distill": "Train a small network to answer as a large one does.",
    "pretrain": "Train a backbone on images without labels.",
    "resume": "Continue a run that was stopped.",
    "evaluate": "Judge a run on its held-out split or on other data.",
    "predict": "Classify images with a run; CSV or JSON.",
    "serve": "Answer over HTTP with a run, and a page to try it.",
    "pseudo-label": "Label images with a run; a manifest of those that it is sure of.",
    "probe": "Say what features are worth: neighbours, linear map, few labels.",
    "report": "Write a run's page again.",
    "surgery": "Replace the batch norms of a run by group norms.",
    "hub": "Publish a run on the Hugging Face Hub, or bring one here.",
    "models": "List the models, or show one.",
    "study": "Ask many runs what helps and how to scale; with intervals.",
    "scale": "Say which size of a network to train for a latency here.",
    "bench": "Measure models here: operations, memory, latency, throughput.",
    "methods": "List the ways to learn.",
    "recipes": "List the recipes, show one, or compare two.",
    "doctor": "Look at this machine: versions, devices, memory, disk, extras.",
}
"""Command -> what it does; the module has the command's name, with _ for -."""

STUDIES: Mapping[str, str] = {
    "ladder": "Which tricks of a paper help on your images? Its table, made again.",
    "ablate": "Which differences between two recipes help?",
    "decay": "How much weight decay beside which other regularisers?",
    "scale": "Does width, depth or image size pay at this length of training?",
    "resolution": "Should images grow with the network, or slowly?",
    "data": "What would more images give, or cleaner labels?",
    "pareto": "Which runs, rows and measured models does nothing beat?",
    "resume": "Make the runs of a study that are missing.",
    "report": "Write a study's tables and page again.",
}
"""What `vertebra study` asks -> what that is; the module is study_NAME."""


def main() -> NoReturn:
    """Runs the command of this process, and ends it with the exit code; programs call `command`."""
    ending = Ending()
    give_buffers_back()
    ending.exit(command(sys.argv[1:]))


def command(arguments: list[str]) -> int:
    """Runs the command and returns its exit code: 0 done, 2 bad input, others as `errors` says."""
    _say_anything()
    is_debugging = "--debug" in arguments
    arguments = [each for each in arguments if each != "--debug"]
    try:
        return _command(arguments)
    except VertebraError as error:
        if is_debugging:
            raise
        if is_first_to_say(str(error)):
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, as in `vertebra models | head`, has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:
        if is_debugging or not is_full(error):
            raise
        return say_full()


def _command(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"vertebra {version('vertebra')}")
        return 0
    find(COMMANDS, arguments[0], kind="command")
    if arguments[0] == "study":
        return _study(arguments[1:])
    return _run(arguments[0], arguments[1:])


def overview() -> str:
    """Returns the text of `vertebra --help`."""
    return (
        "usage: vertebra COMMAND [ARGUMENTS]   (vertebra COMMAND --help explains one)\n\n"
        f"{_rows(COMMANDS)}\n\n"
        "  --debug    show the traceback of an error\n"
        "  --version  print the version\n\n"
        "start with:  vertebra train            handwritten digits, about a minute\n"
        "             vertebra train FOLDER     your own images, a folder a class"
    )


def studies() -> str:
    """Returns the text of `vertebra study --help`."""
    return (
        "usage: vertebra study QUESTION [ARGUMENTS]\n\n"
        f"{_rows(STUDIES)}\n\n"
        "`vertebra study QUESTION --help` explains one. A study is a folder: stop it when you\n"
        "like, `vertebra study resume FOLDER` goes on, and no finished run is made twice.\n\n"
        "start with:  vertebra study ladder resnet-rs --data FOLDER"
    )


def _rows(commands: Mapping[str, str]) -> str:
    width = max(map(len, commands))
    return "\n".join(f"  {name:<{width}} {summary}" for name, summary in commands.items())


def _study(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(studies())
        return 0
    find(STUDIES, arguments[0], kind="study")
    return _run(f"study {arguments[0]}", arguments[1:])


def _run(name: str, arguments: list[str]) -> int:
    import tyro

    from vertebra.cli.help_texts import with_help

    module = import_module(f"vertebra.cli.{name.replace('-', '_').replace(' ', '_')}")
    try:
        parsed = tyro.cli(
            with_help(module.Arguments),
            args=arguments,
            prog=f"vertebra {name}",
            description=_description(module.Arguments),
            config=(tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff),
        )
    except SystemExit as stop:  # help was asked for, or tyro has said what is wrong
        return int(stop.code or 0)
    return module.run(parsed)


def _description(arguments: type) -> str:
    """Returns the docstring in lines for a narrow terminal; tyro keeps those with an indent."""
    paragraphs = (inspect.getdoc(arguments) or "").split("\n\n")
    return "\n".join(
        textwrap.fill(each, 78, initial_indent="  ", subsequent_indent="  ") for each in paragraphs
    )


def _say_anything() -> None:
    """Lets file names that are no UTF-8, and any letter in a plain terminal, be printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
