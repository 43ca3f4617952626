"""Makes `docs/speed.md` of the records in `benchmarks/records`.

uv run python benchmarks/page.py
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean

from records import Row, read

PAGE = Path(__file__).parent.parent / "docs" / "speed.md"

HEAD = """# Speed

Made by `uv run python benchmarks/page.py` of the records in `benchmarks/records`: do not edit it
here. What the figures mean and what was tried is in [Benchmarks](benchmarks.md).

Each figure says how many times as fast as the peer we were, in one run of the command below it, in
which both worked in turn on the same machine: the median of the rounds, in brackets their
quartiles. Above 1 we were faster. Memory is the largest resident set, in that of the peer. Machines
differ, and so do the rounds of a shared one: a ratio is of the day and machine beside it.
"""


def main() -> None:
    PAGE.write_text(page(read()))
    print(f"wrote {PAGE.name}")


def page(rows: Sequence[Row]) -> str:
    """Returns the page: an overview, then a table for each kind of work and peer."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.work, row.against), []).append(row)
    parts = [HEAD, "## In short\n", *overview([*groups.values()])]
    for (work, against), group in groups.items():
        parts += [f"\n## {work[0].upper()}{work[1:]}, against {against}\n", *details(group)]
    return "\n".join(parts) + "\n"


def overview(groups: Sequence[Sequence[Row]]) -> list[str]:
    lines = [
        "| work | against | times as fast | of, or the least | memory at most |",
        "|---|---|---|---|---|",
    ]
    for group in (part for each in groups for part in parts(each)):
        times = [row.ratio[1] for row in group]
        memory = [row.memory for row in group if row.memory is not None]
        mean = f"{geometric_mean(times):.2f}"
        lowest = min(group, key=lambda row: row.ratio[1])
        least = f"{lowest.ratio[1]:.2f}, `{lowest.name}`"
        if len(group) > 1:
            mean += f", mean of {len(group)}"
        else:
            least = f"`{lowest.name}`"
        most = f"{max(memory):.2f}" if memory else ""
        lines.append(f"| {group[0].work} | {group[0].against} | {mean} | {least} | {most} |")
    return [*lines, "", "Means are geometric."]


def parts(group: Sequence[Row]) -> list[Sequence[Row]]:
    """Returns the group, or each row by itself where there are too few for a mean."""
    return [group] if len(group) > 2 else [[row] for row in group]


def details(group: Sequence[Row]) -> list[str]:
    has_rate = any(row.rate is not None for row in group)
    head = ["", "times as fast", *(["rate"] if has_rate else []), "memory"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in group:
        low, middle, high = row.ratio
        cells = [f"`{row.name}`", f"{middle:.2f} ({low:.2f} to {high:.2f})"]
        if has_rate:
            cells.append("" if row.rate is None else f"{row.rate:.0%}")
        cells.append("" if row.memory is None else f"{row.memory:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    if has_rate:
        lines += ["", "Rate: of the speed of a matrix product in fp32 of as many multiply-adds."]
    runs = {(row.command, row.date, row.rounds, row.machine) for row in group}
    for command, date, rounds, machine in sorted(runs):
        lines += ["", f"`{command}`: {date}, {rounds} rounds, {machine}."]
    return lines


if __name__ == "__main__":
    main()
