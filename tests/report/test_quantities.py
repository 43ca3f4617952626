"""Numbers as a person reads them."""

import pytest

from vertebra.report import quantities as say


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.97, "10 s"),
        (59.6, "1 min 00 s"),
        (75, "1 min 15 s"),
        (3599.7, "1 h 00 min"),
        (90_000, "1 d 1 h"),
        (float("nan"), "-"),
    ],
)
def test_durations_show_their_two_largest_units(seconds: float, text: str):
    assert say.duration(seconds) == text


def test_amounts_keep_four_figures():
    assert [say.amount(n) for n in (25_557_032, 4_089_184_256, 999, 12_340)] == [
        "25.56 M",
        "4.089 G",
        "999",
        "12.34 k",
    ]


def test_shares_are_per_cent_and_losses_are_not():
    assert say.figure("top1", 0.98529) == "98.53%"
    assert say.figure("loss", 0.98529) == "0.9853"
    assert not say.is_share("topology")


def test_figures_leave_out_the_number_of_images_and_keep_text_of_non_finite_values():
    figures = say.figures("test", {"top1": 0.5, "loss": "nan", "n": 30})
    assert figures == {"test top-1 accuracy": "50.00%", "test loss": "nan"}


def test_plain_text_cannot_move_the_cursor_or_break_an_encoder():
    text = say.plain("é \x1b[31m \n \u202e \udcff")
    assert text == "é \\x1b[31m \\n \\u202e \\udcff"
    text.encode()


def test_memory_of_a_gigabyte_and_above_is_in_gigabytes():
    assert (say.memory(512), say.memory(2048)) == ("512 MB", "2.00 GB")


def test_times_of_a_record_are_shortened_and_others_stay():
    assert say.moment("2026-11-22T13:21:09+00:00") == "2026-11-22 13:21 UTC"
    assert say.moment("yesterday") == "yesterday"


def test_things_are_counted_in_the_singular_and_the_plural():
    counted = [(1, "1 epoch"), (0, "0 epochs"), (12345, "12,345 epochs"), (2.02667, "2.027 epochs")]
    for number, text in counted:
        assert say.number_of(number, "epoch") == text
