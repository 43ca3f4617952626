"""Draws a run directory: every file that a finished run leaves, small but in its real shape."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vertebra.records import EventLog, RunDirectory, RunRecord, write_json, write_record
from vertebra.report.evaluation import Evaluation, Mistake, write_evaluation

DIGITS = [str(digit) for digit in range(10)]
STEPS, PER_EPOCH, BEST = 600, 30, 540

RECIPE: dict[str, Any] = {
    "name": "digits",
    "source": "ResNet-RS (2021), section 4",
    "expects": {"figure": "top1", "value": 0.985, "tolerance": 0.005},
    "model": {"name": "resnetrs50", "width": 0.25, "in_channels": 1},
    "phases": [
        {
            "data": {"name": "digits", "batch_size": 64, "mixup": 0.2, "train_size": [32, 32]},
            "method": {"label_smoothing": 0.1, "bce": False, "teacher": None},
            "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 4e-5},
            "schedule": {"kind": "cosine", "warmup": "2 epochs"},
            "length": "20 epochs",
        }
    ],
    "seed": 7,
}


def picture(seed: int, size: int = 8) -> str:
    """Returns a drawn picture as the data URI of a real PNG."""
    noise = np.random.default_rng(seed).random((size, size))
    ramp = np.linspace(0, 1, size)[None] * np.linspace(0.2, 1, size)[:, None]
    image = Image.fromarray((255 * (0.3 * noise + 0.7 * ramp)).astype(np.uint8))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def drawn_confusion(classes: int, *, seed: int = 0, images: int = 60) -> np.ndarray:
    """Returns counts with most answers right and the wrong ones near the right class."""
    generator = np.random.default_rng(seed)
    rows = []
    for true in range(classes):
        distance = np.abs(np.arange(classes) - true)
        odds = np.exp(-2.2 * distance) * generator.uniform(0.01, 0.5, classes)
        odds[true] = 8 if true != 3 else 1
        rows.append(generator.multinomial(images, odds / odds.sum()))
    return np.stack(rows)


def draw_evaluation(path: Path, classes: Sequence[str], *, mistakes: int = 12) -> Evaluation:
    confusion = drawn_confusion(len(classes))
    n = int(confusion.sum())
    evaluation = Evaluation(
        split="test",
        n=n,
        figures={"top1": int(confusion.trace()) / n, "top5": 0.999, "loss": 0.0712},
        classes=list(classes),
        confusion=confusion.tolist(),
        mistakes=[
            Mistake(
                name=f"test/{place:04}.png",
                target=classes[place % len(classes)],
                predicted=classes[(place + 1) % len(classes)],
                confidence=0.99 - 0.03 * place,
                picture=picture(place),
            )
            for place in range(mistakes)
        ],
    )
    write_evaluation(path, evaluation)
    return evaluation


def draw_events(path: Path) -> None:
    """Writes a log as training does: an event each step, an evaluation and a save each epoch."""
    log, generator = EventLog(path), np.random.default_rng(0)
    for step in range(1, STEPS + 1):
        epoch = step / PER_EPOCH
        values = {
            "loss": 2.3 * math.exp(-step / 150) + 0.5 + 0.08 * generator.standard_normal(),
            "parts": {},
            "lr": 0.05 * (1 + math.cos(math.pi * step / STEPS)) * min(1, step / 60),
            "images_per_s": 900 + 60 * generator.standard_normal(),
            "data_wait": 0.03 + 0.01 * generator.random(),
            "memory_mb": 480 + min(step, 30),
        }
        log.append("step", step=step, epoch=epoch, values=values)
        if step % PER_EPOCH == 0:
            top1 = 0.985 - 0.8 * math.exp(-step / 100) + 0.002 * math.sin(step)
            figures = {"top1": top1, "top5": 1.0, "loss": 0.06 + math.exp(-step / 120)}
            values = {"split": "selection", "figures": figures}
            log.append("evaluate", step=step, epoch=epoch, values=values)
            log.append("save", step=step, epoch=epoch, values={"kind": "last"})
        if step == BEST:
            log.append("save", step=step, epoch=epoch, values={"kind": "best"})


def draw_record(directory: RunDirectory, evaluation: Evaluation) -> RunRecord:
    environment = {"device": "cpu", "python": "3.11.7", "torch": "2.15.0", "revision": "a1b2c3d"}
    train = {
        "found": 1201,
        "used": 1199,
        "refused": [
            {"name": "train/3/broken.jpg", "reason": "cut off after 512 bytes"},
            {"name": "train/<b>8</b>/notes.txt", "reason": "no image"},
        ],
    }
    record = RunRecord(
        name="digits",
        recipe=RECIPE,
        environment=environment,
        started="2026-11-22T13:21:00+00:00",
        train_seconds=71.4,
        total_seconds=80.9,
        steps=STEPS,
        epochs=STEPS / PER_EPOCH,
        best_step=BEST,
        reported_split="test",
        figures=evaluation.figures,
        selection={"top1": 0.9875, "top5": 1.0, "loss": 0.0654},
        parameters=2_114_938,
        macs=31_457_280,
        images_per_second=904.3,
        data_wait_share=0.0347,
        peak_memory_mb=512.0,
        data={"train": train, "test": {"found": 600, "used": 600, "refused": []}},
        quarantined=("train/5/late.png",),
    )
    write_record(directory, record)
    write_json(directory.environment, environment)
    return record


DrawRun = Callable[..., RunDirectory]
