"""Progress of training and of scans, in a pipe and in a terminal."""

import io

import pytest
from rich.console import Console

from vertebra.report.progress import TrainingProgress, progress


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def console_of(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=80, highlight=False), file


def train(shown: TrainingProgress, clock: Clock, steps: range) -> None:
    for step in steps:
        clock.now += 1.0
        shown.step(step, loss=2.0 / step, images_per_s=640.0, data_wait=0.034, lr=0.1)
        if step % 40 == 0:
            shown.evaluation(step, split="minival", figures={"top1": 0.9, "loss": 0.3, "n": 50})


def test_a_pipe_gets_a_line_each_interval_and_evaluation_without_control_codes():
    clock = Clock()
    console, file = console_of(terminal=False)
    with TrainingProgress(console, interval_s=15, clock=clock) as shown:
        shown.start(100, 20)
        train(shown, clock, range(1, 101))
    lines = file.getvalue().splitlines()
    assert "\x1b" not in file.getvalue() and "\r" not in file.getvalue()
    assert [line.split()[1] for line in lines] == [
        f"{step}/100" for step in (15, 30, 40, 55, 70, 80, 95, 100)
    ]
    assert lines[0] == (
        "step 15/100  epoch 0.8/5  loss 0.1333  640 images/s  data wait 3%  lr 0.1  1 min 25 s left"
    )
    assert lines[2] == "step 40/100  epoch 2.0/5  minival: top1 90.00%  loss 0.3"


def test_the_time_left_of_a_resumed_run_counts_only_its_own_steps():
    clock = Clock()
    console, file = console_of(terminal=False)
    with TrainingProgress(console, interval_s=10, clock=clock) as shown:
        shown.start(1000, 100)
        train(shown, clock, range(901, 912))
    assert "1 min 30 s left" in file.getvalue()


def test_a_terminal_gets_a_bar_that_ends_with_the_last_state():
    clock = Clock()
    console, file = console_of(terminal=True)
    with TrainingProgress(console, clock=clock) as shown:
        shown.start(100, 20)
        shown.message("a [red]line[/red] of its own")
        train(shown, clock, range(1, 101))
    assert "step 100/100  epoch 5.0/5" in file.getvalue()
    assert "100%" in file.getvalue()
    assert "loss 0.02  minival top1 90.00%  640 images/s" in file.getvalue()
    assert "a [red]line[/red] of its own" in file.getvalue()


def test_an_error_in_the_loop_takes_the_bar_off_and_shows_the_cursor_again():
    console, file = console_of(terminal=True)
    with pytest.raises(RuntimeError), TrainingProgress(console) as shown:
        shown.start(100, 20)
        raise RuntimeError
    shown.stop()
    assert file.getvalue().rstrip().endswith("\x1b[?25h")


def test_a_scan_in_a_pipe_says_how_far_it_is_now_and_then_and_at_its_end():
    clock = Clock()
    console, file = console_of(terminal=False)
    with progress("checking [x]", 2500, console=console, clock=clock) as advance:
        for _ in range(25):
            clock.now += 1.0
            advance(100)
    assert file.getvalue().splitlines() == [
        "checking [x]: 1,000 of 2,500",
        "checking [x]: 2,000 of 2,500",
        "checking [x]: 2,500 of 2,500",
    ]


def test_a_scan_of_unknown_length_counts():
    console, file = console_of(terminal=False)
    with progress("reading", None, console=console) as advance:
        advance(7)
    assert file.getvalue() == "reading: 7\n"


def test_a_scan_in_a_terminal_shows_a_bar():
    console, file = console_of(terminal=True)
    with progress("checking", 20, console=console) as advance:
        advance(20)
    assert "20 of 20" in file.getvalue() and "100%" in file.getvalue()
