"""A hub that is a folder, and a finished run that was made by hand."""

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError
from vertebra.export.hub import FILES
from vertebra.records import RunDirectory, RunRecord, write_json, write_record
from vertebra.report.evaluation import Evaluation, Mistake, write_evaluation

CLASSES = ("ants", "bees", "a | `b`\n# c")
RECIPE = {
    "kind": "Recipe",
    "name": "finetune",
    "source": "A ConvNet for the 2020s (2022)",
    "pretrained": {"kind": "Pretrained", "weights": "/srv/ada/runs/ants-1"},
    "phases": [
        {
            "data": {
                "source": "/srv/ada/patients/ants-bees",
                "batch_size": 8,
                "preprocess": {"image_size": 96, "channels": 3},
            },
            "optimizer": {"kind": "AdamW", "lr": 1e-4},
            "schedule": {"kind": "Cosine"},
        }
    ],
}
REFUSED = {"name": "train/ants/ada-lovelace.png", "reason": "the file is empty"}
RECORD = RunRecord(
    name="finetune",
    model="resnet18 with width=0.25",
    recipe=RECIPE,
    environment={"device": "cpu: x86_64"},
    started="2026-11-22T13:21:00+00:00",
    train_seconds=75.0,
    total_seconds=80.0,
    steps=100,
    epochs=20.0,
    best_step=90,
    reported_split="val",
    figures={"top1": 0.9, "top5": 1.0, "loss": 0.25},
    selection={"top1": 0.8, "loss": 0.5, "n": 10.0},
    parameters=700_000,
    macs=30_000_000,
    images_per_second=50.0,
    data_wait_share=0.1,
    peak_memory_mb=500.0,
    data={"train": {"found": 41, "used": 40, "refused": [REFUSED]}},
    quarantined=("train/bees/alan-turing.png",),
    pretrained={"source": "timm/resnet18.a1_in1k", "licence": "cc-by-nc-4.0"},
)
WEIGHTS = {"head.fc.weight": torch.arange(6.0).view(3, 2), "steps": torch.tensor(7)}


def write_run(folder: Path, **changes: object) -> RunDirectory:
    """Writes a finished run whose record has the changes."""
    place = RunDirectory(folder)
    write_json(place.recipe, RECIPE)
    write_json(place.classes, CLASSES)
    write_json(place.preprocess, {"image_size": 96, "channels": 3})
    write_json(place.environment, {"device": "cpu"})
    write_record(place, replace(RECORD, **changes))
    mistake = Mistake(name="val/ants/grace-hopper.png", target="ants", predicted="bees",
                      confidence=0.9, picture="data:image/png;base64,AAAA")  # fmt: skip
    confusion = [[8, 2, 0], [0, 10, 0], [0, 0, 0]]
    write_evaluation(
        place.evaluation,
        Evaluation(split="val", n=20, figures=RECORD.figures, classes=CLASSES,
                   confusion=confusion, mistakes=[mistake]),
    )  # fmt: skip
    checkpoint.save(place.checkpoints / "best", tensors={"model": WEIGHTS}, state={})
    return place


class FolderHub:
    """A hub on this machine: a folder for each repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []

    def create(self, repository: str, *, private: bool) -> None:
        if repository in self.private:
            raise CheckpointError(f"{repository} was not created: it exists already")
        self.private[repository] = private

    def upload(self, repository: str, folder: Path) -> str:
        assert sorted(each.name for each in folder.iterdir()) == sorted(FILES)
        shutil.copytree(folder, self.root / repository, dirs_exist_ok=True)
        return f"hub:{repository}"

    def download(self, repository: str, name: str, folder: Path) -> Path:
        self.asked.append(name)
        source = self.root / repository / name
        if not source.exists():
            raise CheckpointError(f"{repository} was not read: no {name}")
        return Path(shutil.copy(source, folder / name, follow_symlinks=False))
