"""Numbers and names as a person reads them; the page and the terminal say the same with these."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TypeGuard

from vertebra.records import Json
from vertebra.report.classes import wilson

NOTHING = "-"


def percent(share: float | None, digits: int = 2) -> str:
    """Returns 0.98529 as "98.53%"."""
    return NOTHING if share is None or math.isnan(share) else f"{100 * share:.{digits}f}%"


def count(number: float) -> str:
    """Returns 12345 as "12,345", rounded to a whole number."""
    return f"{number:,.0f}" if math.isfinite(number) else str(number)


def number_of(number: float, thing: str) -> str:
    """Returns 1 "step" as "1 step", 12345 as "12,345 steps", 2.02667 "epoch" as "2.027 epochs"."""
    text = count(number) if number == int(number) else f"{number:.4g}"
    return f"{text} {thing}{'' if number == 1 else 's'}"


def amount(number: float) -> str:
    """Returns 11689512 as "11.69 M": four figures and a thousand-step suffix."""
    size, suffix = thousands(number)
    return f"{number / size:.4g} {suffix}".rstrip()


def thousands(number: float) -> tuple[float, str]:
    """Returns the thousand-step unit that suits a number, as (1e6, "M"); below 1000 (1, "")."""
    steps = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
    return next((step for step in steps if number >= step[0]), (1.0, ""))


def duration(seconds: float) -> str:
    """Returns 75 as "1 min 15 s": the two largest units."""
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def interval(share: float, n: int) -> str:
    """Returns the 95% interval of a share of n images as "97.17% to 99.21%"."""
    low, high = wilson(round(share * n), n)
    return f"{percent(low)} to {percent(high)}"


def moment(text: str) -> str:
    """Returns an ISO time as "2026-11-22 13:21 UTC"; other text stays."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return text


def rate(images_per_second: float) -> str:
    """Returns 1234.5 as "1,234 images/s"; slow rates keep a digit."""
    number = images_per_second
    return f"{number:,.0f} images/s" if not number < 10 else f"{number:.1f} images/s"


def memory(megabytes: float) -> str:
    """Returns 2048 as "2.00 GB" (MB and GB of 1024)."""
    return f"{megabytes / 1024:.2f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"


def figure(name: str, value: float) -> str:
    """Returns a figure in its own unit: accuracies as per cent, all else with four digits."""
    return percent(value) if is_share(name) else f"{value:.4g}"


def figures(split: str, values: Mapping[str, Json]) -> dict[str, str]:
    """Returns named figures of a split as text; the number of images is no figure."""
    return {
        f"{split} {figure_name(name)}": figure(name, value) if is_number(value) else str(value)
        for name, value in values.items()
        if name != "n"
    }


def is_number(value: Json) -> TypeGuard[float]:
    """Says whether a value out of a file is a number; "nan" stands there as text."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_share(name: str) -> bool:
    """Says whether the figure of this name is a share of images, such as top1 or top5."""
    return name.startswith("top") and name[3:].isdigit()


def figure_name(name: str) -> str:
    """Returns "top1" as "top-1 accuracy"; other names stay."""
    return f"top-{name[3:]} accuracy" if is_share(name) else name


def plain(text: str) -> str:
    """Returns text that moves no cursor: control, direction and broken characters as escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
