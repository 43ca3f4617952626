"""Runs on other machines: what has to hold of the study's folder, and is said when it does not."""

import socket
import time

from vertebra.records import RunDirectory
from vertebra.studies.task import End, Task, carry_out

VISIBLE_SECONDS = 60.0
"""How long what another machine has written may take to be seen here, as network folders cache."""

ADVICE = "make the study in a folder that all machines share, as --out /shared/study"


def carry_out_there(task: Task, gpus: int) -> End:
    """Returns how the run ended on the machine where this is called; without GPUs it sees none."""
    if not task.recipe.is_file():
        reason = f"{socket.gethostname()} does not see {task.recipe}; {ADVICE}"
        return End(task, "failed", reason, 0.0)
    return carry_out(task, environment={} if gpus else {"CUDA_VISIBLE_DEVICES": ""})


def seen_from_here(end: End) -> End:
    """Returns the end; a finished run whose record does not get here has failed."""
    record = RunDirectory(end.task.directory).record
    deadline = time.monotonic() + VISIBLE_SECONDS
    while end.state == "finished" and not record.is_file():
        if time.monotonic() > deadline:
            reason = f"it finished elsewhere, and {record} is not to be seen here; {ADVICE}"
            return end._replace(state="failed", reason=reason)
        time.sleep(0.5)
    return end
