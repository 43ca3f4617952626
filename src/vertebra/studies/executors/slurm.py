"""Runs as an array of jobs of a Slurm cluster, through submitit."""

import time
from collections.abc import Generator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertebra.errors import DeviceError, MissingExtra, RecipeError
from vertebra.studies.executors.shared_folder import carry_out_there, seen_from_here
from vertebra.studies.task import End, Task
from vertebra.studies.termination import terminated_as_interrupted

if TYPE_CHECKING:
    from submitit import AutoExecutor
    from submitit.helpers import DelayedSubmission

POLL_SECONDS = 1.0
"""How often it is looked whether a job has left its result; Slurm itself is asked less often."""

SAVE_SECONDS = 60.0
"""How long jobs that were cancelled may take to save and end."""


class Slurm:
    """Jobs of a partition; all machines see the study's folder and the images at the same paths.

    folder:  where submitit keeps scripts, tasks and logs; on all machines, too.
    minutes: of a job; a run that takes longer saves and waits for another.
    cpus:    cores of each run; gpus: its GPUs.
    cluster: of submitit; "local" and "debug" need no Slurm.

    Raises:
        MissingExtra: submitit is not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        partition: str,
        minutes: int = 24 * 60,
        cpus: int = 1,
        gpus: int = 0,
        cluster: str = "slurm",
    ) -> None:
        if find_spec("submitit") is None:
            raise MissingExtra(
                "submitit is not installed; bring it with `pip install vertebra[slurm]`"
            )
        if minutes < 1 or cpus < 1 or gpus < 0:
            raise RecipeError(
                f"minutes={minutes}, cpus={cpus}, gpus={gpus}; give 1 minute and 1 core or more, "
                f"and 0 GPUs or more"
            )
        self._folder = folder
        self._cluster = cluster
        self._gpus = gpus
        self._asked = {
            "name": "vertebra",
            "nodes": 1,
            "tasks_per_node": 1,
            "timeout_min": minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus or None,
            "slurm_partition": partition,
        }

    def run(self, tasks: Sequence[Task]) -> Generator[End]:
        """Yields how each task ended, as they end; closed early, it cancels the jobs.

        Raises:
            DeviceError: there is no Slurm, or it refuses the jobs.
        """
        if not tasks:
            return
        pending = dict(zip(self._submit(tasks), tasks, strict=True))
        try:
            while pending:
                for job in [job for job in pending if job.done()]:
                    yield _end(job, pending.pop(job))
                if pending:
                    time.sleep(POLL_SECONDS)
        finally:
            for job in pending:
                job.cancel(check=False)
            deadline = time.monotonic() + SAVE_SECONDS
            while time.monotonic() < deadline and not all(job.done(True) for job in pending):
                time.sleep(POLL_SECONDS)

    def _submit(self, tasks: Sequence[Task]) -> list[Any]:
        import submitit

        try:
            jobs: AutoExecutor = submitit.AutoExecutor(self._folder, cluster=self._cluster)
            jobs.update_parameters(**self._asked)
            return jobs.map_array(_Run(self._gpus), tasks)
        except RuntimeError as error:
            said = (str(error).strip().splitlines() or ["it does not say why"])[-1]
            raise DeviceError(
                f"Slurm takes no jobs here ({said}); run this where `sbatch` works, with a "
                f"partition that `sinfo` lists"
            ) from error


class _Run:
    """What a job does; one that is out of time, or has to make room, is queued again."""

    def __init__(self, gpus: int) -> None:
        self._gpus = gpus

    def __call__(self, task: Task) -> End:
        # Slurm tells this process alone to end, and submitit would not listen
        with terminated_as_interrupted():
            return carry_out_there(task, self._gpus)

    def checkpoint(self, task: Task) -> "DelayedSubmission":
        """Returns what the next job does: it goes on where the run was saved."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, task)


def _end(job: Any, task: Task) -> End:
    from submitit.core.utils import UncompletedJobError

    try:
        return seen_from_here(job.result())
    except UncompletedJobError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        state = "interrupted" if job.state.startswith("CANCELLED") else "failed"
        return End(task, state, f"Slurm: {' '.join(lines[:2])}", 0.0)
