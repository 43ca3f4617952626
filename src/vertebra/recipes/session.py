"""The circumstances of a run while it goes on."""

from dataclasses import dataclass

import torch

from vertebra.engine.clock import Clock
from vertebra.engine.distributed import World
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.observers import View
from vertebra.records import RunDirectory


@dataclass(frozen=True)
class Session:
    """Where a run goes on and who watches it; one that was interrupted has several."""

    directory: RunDirectory
    device: torch.device
    world: World
    view: View | None
    interrupts: Interrupts
    clock: Clock
