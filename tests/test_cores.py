"""Cores that a process may use, under each kind of bound."""

from pathlib import Path

import pytest

from vertebra import cores


@pytest.fixture(autouse=True)
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a machine of eight cores without a bound; returns the folder of its groups."""
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_ROOT", tmp_path / "groups")
    monkeypatch.setattr(cores, "_OWN_GROUP", tmp_path / "own")
    return tmp_path / "groups"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_groups_all_of_them():
    assert cores.usable_cores() == 8


@pytest.mark.parametrize(
    ("granted", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1),
     ("6400000 100000", 8), ("nonsense", 8)],
)  # fmt: skip
@pytest.mark.parametrize("own", ["0::/\n", "0::/user.slice/job\n"])
def test_a_container_grants_its_share(group: Path, own: str, granted: str, expected: int):
    write(group.parent / "own", own)
    write(group / own[3:].strip().lstrip("/") / "cpu.max", granted + "\n")
    assert cores.usable_cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("300000", 3)])
def test_so_does_one_of_the_first_version(group: Path, quota: str, expected: int):
    write(group.parent / "own", "3:cpu,cpuacct:/docker/x\n")
    write(group / "cpu/cpu.cfs_quota_us", quota + "\n")
    write(group / "cpu/cpu.cfs_period_us", "100000\n")
    assert cores.usable_cores() == expected


def test_systems_without_affinity_count_the_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(cores.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 3)
    assert cores.usable_cores() == 3
