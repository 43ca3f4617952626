"""The command as a whole: help, speed, exit codes, and what it does with errors of any kind."""

import json
import resource
import subprocess
import sys

import pytest
from tests.cli.conftest import vertebra

from vertebra.cli import report
from vertebra.cli.main import COMMANDS, STUDIES, command
from vertebra.errors import Interrupted, NonFiniteError


def test_the_overview_lists_every_command_once():
    said = vertebra("--help")
    assert said.code == 0
    starts = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")]
    assert [word for word in starts if word in COMMANDS] == list(COMMANDS)
    assert said.out == vertebra().out == vertebra("help").out == vertebra("-h").out
    assert max(map(len, said.out.splitlines())) <= 80


EXPLAINED = [
    *(name for name in COMMANDS if name != "study"),
    *(f"study {each}" for each in STUDIES),
]


@pytest.mark.parametrize("name", EXPLAINED)
def test_help_of_a_command_says_what_it_is_for_in_80_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = vertebra(*name.split(), "--help")
    assert said.code == 0
    usage, _, description, *rest = said.out.splitlines()
    assert usage.startswith(f"usage: vertebra {name} [-h]")
    assert description.startswith("  ") and description.strip()[0].isupper()
    assert all(len(line) <= 80 for line in [description, *rest])
    assert "default: None" not in said.out
    assert "--no-" not in said.out.replace("--no-optimize", "")  # flags do not come in pairs


def test_the_version_is_printed():
    assert vertebra("--version").out.startswith("vertebra 0.")


WITHOUT_TORCH = [
    [],
    *([name, "--help"] for name in COMMANDS),
    ["trian"],
    ["train", "--epoch", "3"],
    ["train", "--epochs", "three"],
    ["train", "nowhere"],
    ["train", "--model", "resnet5"],
    ["train", "--recipe", "smal"],
    ["train", "--recipe", "baseline"],
    ["train", "--devices", "0"],
    ["train", "--out", sys.executable],
    ["plan", "nowhere"],
    ["check", "nowhere"],
    ["evaluate", "nowhere"],
    ["predict", "nowhere", "x"],
    ["resume", "nowhere"],
    ["report", "nowhere"],
    ["surgery", "norm", "nowhere"],
    ["bench"],
    ["bench", "resnet5"],
    ["bench", "no/run"],
    ["bench", "resnet18", "--image-size", "0"],
    ["models"],
    ["models", "resnet5"],
    ["recipes"],
    ["recipes", "show", "smal"],
    ["recipes", "diff", "small"],
]


def test_help_and_what_can_be_refused_at_once_import_no_torch(tmp_path):
    code = (
        "import json, sys\nfrom vertebra.cli.main import command\n"
        f"for arguments in {WITHOUT_TORCH!r}:\n"
        "    code = command(arguments)\n"
        "    print('@' + json.dumps([arguments, code, 'torch' in sys.modules]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    lines = [json.loads(line[1:]) for line in found.stdout.splitlines() if line[:1] == "@"]
    assert [line[0] for line in lines] == WITHOUT_TORCH, found.stderr
    assert [line for line in lines if line[2]] == []
    fine = [line[0] for line in lines if line[1] == 0]
    assert [each for each in fine if each and each[-1] != "--help"] == [["models"], ["recipes"]]
    assert {line[1] for line in lines} == {0, 2}


def test_help_takes_less_than_half_a_second_of_the_processor():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "vertebra", "--help"]
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["models", "resnet5"], "unknown model 'resnet5'; did you mean 'resnet50'?"),
        (["recipes", "show", "smal"], "unknown recipe 'smal'; did you mean 'small'?"),
    ],
)
def test_an_error_is_one_sentence_without_a_traceback(arguments, told):
    assert vertebra(*arguments) == (2, "", f"error: {told}\n")


def test_debug_shows_the_traceback_wherever_it_stands():
    for arguments in (["--debug", "trian"], ["trian", "--debug"]):
        with pytest.raises(Exception, match="unknown command"):
            command(arguments)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Interrupted("saved"), 75), (NonFiniteError("loss"), 3), (KeyboardInterrupt(), 130)],
)
def test_each_error_has_its_exit_code(error, code, monkeypatch):
    def fail(arguments):
        raise error

    monkeypatch.setattr(report, "run", fail)
    assert vertebra("report", "x").code == code


def test_a_defect_of_ours_is_not_hidden(monkeypatch):
    def fail(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(report, "run", fail)
    with pytest.raises(ZeroDivisionError):
        vertebra("report", "x")


def test_a_reader_that_has_seen_enough_is_no_error():
    line = f"{sys.executable} -m vertebra models | head -n 1"
    found = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("model ")


def test_what_a_plain_terminal_cannot_show_is_escaped(tmp_path):
    command = [sys.executable, "-m", "vertebra", "check", "\N{SNOWMAN}\udce9"]
    found = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("error: \\u2603\\udce9 does not exist; ")


def test_help_breaks_lines_where_the_terminal_ends_and_not_where_the_source_does(
    capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "400")
    assert command(["probe", "--help"]) == 0
    assert "on with what is missing. Default is the next free one of" in capsys.readouterr().out
