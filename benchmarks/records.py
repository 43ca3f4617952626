"""What benchmarks found, one JSON line a row, and the page in the docs that is made of them.

A record is written where `--record FILE` says; `page.py` reads those in `benchmarks/records`.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from vertebra.bench.latency import Spread

FOLDER = Path(__file__).parent / "records"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A ratio: how many times as fast as a peer we are, lower quartile, median and upper quartile
    over the rounds of one run.

    work:    what was done; against: what the peer is; name: of the network or the like.
    rate:    share of the speed of a matrix product in fp32 of as many multiply-adds.
    memory:  the largest resident set, in that of the peer.
    """

    work: str
    against: str
    name: str
    ratio: tuple[float, float, float]
    rate: float | None = None
    memory: float | None = None
    rounds: int
    date: str
    machine: str
    command: str


def command() -> str:
    """Returns what was typed to run this script, but for where records go and files lie."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    if "--record" in words:
        at = words.index("--record")
        del words[at : at + 2]
    return shlex.join(["uv", "run", "python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def machine() -> str:
    """Returns processor, its instructions for bf16, cores in use, and torch."""
    import torch

    from vertebra.engine.environment import device_name
    from vertebra.engine.execution import has_bf16

    device = torch.device("cpu")
    half = "with" if has_bf16(device) else "without"
    threads = torch.get_num_threads()
    return f"{device_name(device)}, {half} bf16, {threads} threads, torch {torch.__version__}"


def note(
    file: Path | None,
    ratio: Spread,
    *,
    work: str,
    against: str,
    name: str,
    rounds: int,
    rate: float | None = None,
    memory: float | None = None,
) -> None:
    """Appends what this run has found to a file, if there is one."""
    if file is None:
        return
    row = Row(
        work=work,
        against=against,
        name=name,
        ratio=(round(ratio.p25, 3), round(ratio.p50, 3), round(ratio.p75, 3)),
        rate=rate and round(rate, 3),
        memory=memory and round(memory, 3),
        rounds=rounds,
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        command=command(),
    )
    write(row, file)


def write(row: Row, file: Path) -> None:
    """Appends a row to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(row)) + "\n")


def read(folder: Path = FOLDER) -> Sequence[Row]:
    """Returns all rows, file by file; of rows that say the same of the same, the latest."""
    rows: dict[tuple[str, str, str], Row] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            data = json.loads(line)
            row = Row(**{**data, "ratio": tuple(data["ratio"])})
            rows[row.work, row.against, row.name] = row
    return [*rows.values()]
