"""The flags that studies share: which recipe on which images, how often, and where the runs go."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vertebra.cli.flags import RecipeFlags, shown
from vertebra.errors import RecipeError

if TYPE_CHECKING:
    from vertebra.studies.conduct import Executor
    from vertebra.studies.halving import Halving
    from vertebra.studies.place import StudyDirectory
    from vertebra.studies.study import Study
    from vertebra.studies.task import State


@dataclass(frozen=True, kw_only=True)
class ExecutorFlags:
    """Where the runs of a study go; all of them have the same figures."""

    processes: Annotated[int, shown("N")] = 1
    """Runs at once on this machine."""
    devices: Annotated[str | None, shown("0,1,...")] = None
    """CUDA devices of this machine, one run on each."""
    ray: Annotated[str | None, shown("ADDRESS")] = None
    """Send runs to this Ray: auto, HOST:PORT or ray://HOST:PORT; local starts one here. Its
    machines share the study's folder."""
    slurm: Annotated[str | None, shown("PARTITION")] = None
    """Send runs to this partition of Slurm. Its machines share the study's folder."""
    slurm_time: Annotated[int, shown("MINUTES")] = 24 * 60
    """Longest time of a job; a longer run saves and is queued again."""
    gpus: Annotated[int, shown("N")] = 0
    """GPUs of each run, with --ray or --slurm; its cores are the study's --threads."""
    halving: Annotated[bool, shown()] = False
    """Stop runs at a quarter and at half of their length when they are in the worse half of those
    with their seed. They are judged when their selection split is looked at: set selection.every
    well below the length, or nothing is stopped."""
    retry: Annotated[bool, shown()] = False
    """Make runs again that failed; without --halving, also go on with those that it has stopped."""
    keep_weights: Annotated[bool, shown()] = False
    """Keep the weights of finished runs; without it only their figures stay."""

    @property
    def again(self) -> "tuple[State, ...]":
        """Which runs are made again, by how they ended."""
        if not self.retry:
            return ()
        return ("failed",) if self.halving else ("failed", "stopped")

    @property
    def is_elsewhere(self) -> bool:
        """Whether runs may go to other machines."""
        return self.ray is not None or self.slurm is not None

    def executor(self, study: "Study", place: "StudyDirectory") -> "Executor":
        """Returns where the runs go.

        Raises:
            RecipeError: two places are asked for, or a value does not fit.
            MissingExtra: what is asked for is not installed.
        """
        self._require_one_place()
        cores = study.threads or 1
        if self.ray is not None:
            from vertebra.studies.executors.ray import Ray

            return Ray(None if self.ray == "local" else self.ray, cpus=cores, gpus=self.gpus)
        if self.slurm is not None:
            from vertebra.studies.executors.slurm import Slurm

            return Slurm(
                place.path.absolute() / "slurm",
                partition=self.slurm,
                minutes=self.slurm_time,
                cpus=cores,
                gpus=self.gpus,
            )
        from vertebra.studies.executors.local import Local

        devices = () if self.devices is None else tuple(self.devices.split(","))
        watch = _halving(study, place).why_stop if self.halving else None
        return Local(processes=self.processes, devices=devices, watch=watch)

    def _require_one_place(self) -> None:
        given = {
            "--processes": self.processes != 1,
            "--devices": self.devices is not None,
            "--ray": self.ray is not None,
            "--slurm": self.slurm is not None,
        }
        places = [flag for flag, is_given in given.items() if is_given]
        if len(places) > 1:
            raise RecipeError(f"{' and '.join(places)} each say where runs go; give one of them")
        if self.halving and self.is_elsewhere:
            raise RecipeError(
                f"--halving needs runs on this machine; leave it or {places[0]} out, or give "
                f"--processes or --devices"
            )
        if self.gpus and not self.is_elsewhere:
            raise RecipeError("--gpus is for --ray and --slurm; here give --devices 0,1,...")
        if self.slurm_time != ExecutorFlags.slurm_time and self.slurm is None:
            raise RecipeError("--slurm-time is for --slurm; give its partition, or leave it out")


def _halving(study: "Study", place: "StudyDirectory") -> "Halving":
    """Returns what stops runs; says which rows it cannot judge."""
    from rich.text import Text

    from vertebra.report.quantities import plain
    from vertebra.report.terminal import open_console
    from vertebra.studies.halving import Halving

    halving = Halving(study, place)
    if halving.silent:
        said = f"never stopped, as they say nothing before their end: {', '.join(halving.silent)}"
        open_console().print(Text(plain(said), style="yellow"))
    return halving


@dataclass(frozen=True, kw_only=True)
class StudyFlags(RecipeFlags, ExecutorFlags):
    """Flags of every study that makes runs."""

    data: Annotated[str | None, shown("PATH")] = None
    """Your images, as for `vertebra train`. Nothing means digits."""
    seed: Annotated[int | None, tyro.conf.Suppress] = None
    seeds: Annotated[int, shown("N")] = 3
    """Runs of each row; 3 or more give an interval."""
    out: Annotated[Path | None, shown("FOLDER")] = None
    """The study's folder; one that is there is continued. Default is the next free one of
    studies/NAME-1, studies/NAME-2, ..."""
    threads: Annotated[int | None, shown("N")] = None
    """Threads of each run; rounding depends on it, so it stays with the study. Default: the cores
    shared among --processes; 1 with --ray or --slurm, where it is how many cores a run gets."""
    dry_run: Annotated[bool, shown()] = False
    """Show the rows and what each changes; run nothing."""

    def threads_of_a_run(self) -> int | None:
        """Returns the threads of each run; None leaves them to torch."""
        from vertebra.cores import usable_cores

        if self.threads is not None:
            return self.threads
        if self.is_elsewhere:
            return 1
        if self.processes <= 1:
            return None
        return max(1, usable_cores() // self.processes)
