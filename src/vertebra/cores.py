"""How many cores of this machine the process may use."""

import math
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Returns the cores that the process may run on, or fewer where a container grants it less."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    share = _granted()
    return count if share is None else max(1, min(count, math.ceil(share)))


def _granted() -> float | None:
    """Returns the cores' worth of time that Linux' control groups grant; None where all of it."""
    try:
        group = _OWN_GROUP.read_text("utf-8").partition("0::")[2].strip().lstrip("/")
        quota, period = (_ROOT / group / "cpu.max").read_text("utf-8").split()
    except (OSError, ValueError):
        try:  # the first version of control groups
            quota = (_ROOT / "cpu" / "cpu.cfs_quota_us").read_text("utf-8").strip()
            period = (_ROOT / "cpu" / "cpu.cfs_period_us").read_text("utf-8").strip()
        except OSError:
            return None
    return int(quota) / int(period) if quota.isdecimal() else None  # "max" or -1: no bound
