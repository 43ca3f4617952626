"""The tables of a terminal."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console, RenderableType
from tests.report.drawn import DIGITS, DrawRun

from vertebra.records import read_record
from vertebra.report import terminal


def shown(view: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, soft_wrap=True)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_what_was_found_adds_up_and_names_refused_files(draw_run: DrawRun):
    data = read_record(draw_run()).data
    text = shown(terminal.found_table(data, classes=DIGITS, used_as="1,199 of them"))
    assert "train   1,201   1,199         2" in text
    assert "10: 0, 1, 2, 3, 4, 5, 6, 7, and 2 more" in text
    assert "refused in train: train/3/broken.jpg: cut off after 512 bytes" in text
    assert "used as   1,199 of them" in text


def test_hundreds_of_refused_files_are_counted_not_listed():
    refused = [{"name": f"{i}.jpg", "reason": "empty"} for i in range(300)]
    data = {"train": {"found": 310, "used": 10, "refused": refused}}
    text = shown(terminal.found_table(data, classes=["a"]))
    assert "and 295 more refused" in text
    assert "used as" not in text


def test_names_are_neither_markup_nor_control_codes():
    data = {"[red]": {"found": 1, "used": 0, "refused": [{"name": "\x1b[2J", "reason": "[b]no"}]}}
    text = shown(terminal.found_table(data, classes=["[bold]x[/bold]"]))
    assert "[red]" in text and "[bold]x[/bold]" in text and "[b]no" in text
    assert "\x1b" not in text and "\\x1b[2J" in text


def test_the_plan_shows_what_is_known_and_leaves_out_the_rest():
    plan = terminal.RunPlan(
        recipe="digits",
        model="resnetrs50",
        parameters=2_114_938,
        macs=31_457_280,
        image_size="1 x 32 x 32",
        batch_size=64,
        steps=12_000,
        epochs=20,
        optimizer="SGD-Nesterov, lr 0.1",
        device="cpu",
        execution=("fp32", "channels last", "2 data workers"),
        output=Path("runs/digits-1"),
    )
    text = shown(terminal.run_plan(plan))
    assert "resnetrs50: 2.115 M parameters, 31.46 M MACs an image" in text
    assert "20 epochs, 12,000 steps" in text
    assert "step time" not in text
    measured = shown(terminal.run_plan(replace(plan, step_seconds=0.112, total_seconds=1344)))
    assert "step time    112 ms" in measured and "22 min 24 s" in measured


def test_the_final_table_has_interval_and_cost(draw_run: DrawRun):
    directory = draw_run()
    text = shown(terminal.final_table(read_record(directory), directory=directory.path), width=160)
    assert "98.50%, 95% interval 97.17% to 99.21% (600 images)" in text
    assert "selection top-1 accuracy   98.75%" in text
    assert "1 min 11 s, 904 images/s" in text


def test_a_command_stands_on_one_line_however_narrow_the_terminal_is():
    command = f"vertebra predict '{'long name ' * 9}' IMAGE"
    assert shown(terminal.next_commands(command), 40).splitlines() == ["Next:", f"  {command}"]


def test_the_interval_takes_the_number_of_images_it_is_given(draw_run: DrawRun):
    directory = draw_run()
    record = replace(read_record(directory), data={})
    assert "95% interval" not in shown(terminal.final_table(record, directory=directory.path))
    given = shown(terminal.final_table(record, directory=directory.path, images=600), width=160)
    assert "(600 images)" in given


def test_recipes_that_differ_are_shown_by_path_and_equal_ones_said_to_be():
    differences = [("optimizer.lr", 0.1, 0.5), ("phases.0.data.mixup", None, 0.2)]
    text = shown(terminal.compare_table(differences, left="baseline", right="resnet-rs"))
    assert text.splitlines() == [
        "entry                 baseline   resnet-rs",
        "optimizer.lr          0.1        0.5",
        "phases.0.data.mixup   -          0.2",
    ]
    assert "are the same" in shown(terminal.compare_table([], left="a", right="b"))


def test_lists_of_names_align_numbers_to_the_right():
    rows = [["resnet50", "25.6 M"], ["resnetrs420", "192 M"]]
    text = shown(terminal.names_table(["model", "parameters"], rows, numbers=1))
    assert [line.rstrip() for line in text.splitlines()] == [
        "model         parameters",
        "resnet50          25.6 M",
        "resnetrs420        192 M",
    ]


def test_a_pipe_gets_wide_lines_without_control_codes(capsys):
    console = terminal.open_console()
    console.print("x" * 150 + " [1] 12")
    assert capsys.readouterr().out == "x" * 150 + " [1] 12\n"
