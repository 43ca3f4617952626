import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch
from tests.data.album import encoded, in_memory, noise, plant, sent

from vertebra.contracts import Batch
from vertebra.data import loader
from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop, Resize
from vertebra.data.decode import BrokenImage
from vertebra.data.erase import Erase
from vertebra.data.folder import open_folder
from vertebra.data.images import Split
from vertebra.data.loader import EvaluationBatches, TrainBatches
from vertebra.data.mixing import Mixing
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.errors import DataError, DeviceError, RecipeError

GREY = Preprocess.for_channels(1, image_size=8)
COLOR = Preprocess(image_size=12)
PLAIN = Augment(crop=Resize(), flip=0.0)
ALL = Augment(
    rand_augment=RandAugment(reference_px=224), erase=Erase(), mixing=Mixing(mixup=0.2, cutmix=1.0)
)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return open_folder(plant(tmp_path, *(f"{k}/{n}.png" for k in "abc" for n in range(5)))).splits[
        "train"
    ]


def training(split: Split, **changes: object) -> TrainBatches:
    batches = TrainBatches(
        split, preprocess=COLOR, augment=ALL, batch_size=4, seed=3, steps=6, workers=0
    )
    return replace(batches, **changes)


def same(ours: Iterable[Batch], theirs: Iterable[Batch]) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    return bool(pairs) and all(
        torch.equal(mine, other)
        for a, b in pairs
        for mine, other in ((a.images, b.images), (a.targets, b.targets), (a.index, b.index))
    )


def test_the_stream_is_the_same_to_the_bit_with_any_number_of_workers(split: Split):
    alone = list(training(split))
    assert [batch.images.shape for batch in alone] == [(4, 3, 12, 12)] * 6
    assert alone[0].targets.shape == (4, 3)
    assert same(training(split, workers=1), alone)
    assert same(training(split, workers=2), alone)
    assert not same(training(split, seed=4), alone)


def test_a_run_goes_on_from_any_step(split: Split):
    whole = list(training(split, accumulate=2))
    assert len(whole) == len(training(split, accumulate=2)) == 12
    assert same(training(split, accumulate=2, start_step=4, workers=1), whole[8:])
    assert list(training(split, start_step=6)) == []


def test_two_processes_see_together_what_one_sees(split: Split):
    plain = {"augment": Augment(), "batch_size": 8}
    alone = list(training(split, **plain))
    ranks = [training(split, **plain, rank=rank, world=2) for rank in (0, 1)]
    together = [
        Batch(*(torch.cat(both) for both in zip(_parts(a), _parts(b), strict=True)))
        for a, b in zip(*ranks, strict=True)
    ]
    assert same(together, alone)
    halves = list(training(split, **plain, accumulate=2))
    joined = [
        Batch(*(torch.cat(both) for both in zip(_parts(a), _parts(b), strict=True)))
        for a, b in zip(halves[::2], halves[1::2], strict=True)
    ]
    assert same(joined, alone)


def _parts(batch: Batch) -> tuple[torch.Tensor, ...]:
    return batch.images, batch.targets, batch.index


def test_generators_outside_are_left_alone(split: Split):
    for workers in (0, 1):
        torch.manual_seed(1)
        random.seed(1)
        expected = torch.rand(3), random.random()
        torch.manual_seed(1)
        random.seed(1)
        list(training(split, workers=workers))
        list(EvaluationBatches(split, preprocess=COLOR, batch_size=4, workers=workers))
        assert torch.equal(torch.rand(3), expected[0]) and random.random() == expected[1]


def test_an_image_is_changed_alike_wherever_in_a_batch_it_stands(split: Split):
    plain = {"augment": Augment()}
    four = list(training(split, **plain, steps=15))
    three = list(training(split, **plain, batch_size=3, steps=20))
    assert torch.equal(*(torch.cat([b.images for b in batches]) for batches in (four, three)))


def test_images_targets_and_index_belong_together():
    split = in_memory(20, classes=4)
    batches = training(split, preprocess=GREY, augment=PLAIN, batch_size=10, steps=4)
    raw = replace(GREY, mean=(0.0,), std=(1 / 255,))
    for batch in replace(batches, preprocess=raw):
        assert torch.allclose(batch.images[:, 0, 0, 0], batch.index.float(), atol=1e-4)
        assert torch.equal(batch.targets, batch.index % 4)
        assert batch.images.dtype == torch.float32
    seen = torch.cat([batch.index for batch in batches])
    assert sorted(seen[:20].tolist()) == list(range(20)) == sorted(seen[20:].tolist())


def test_a_data_set_smaller_than_a_batch_is_enough():
    batches = list(training(in_memory(3), preprocess=GREY, augment=Augment(), batch_size=7))
    assert {len(batch.images) for batch in batches} == {7}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_replaced_in_training_counted_and_named(
    split: Split, tmp_path: Path, workers: int
):
    (tmp_path / "a/0.png").write_bytes(b"broken")
    (tmp_path / "b/3.png").write_bytes(encoded(noise(64, 64))[:500])
    batches = training(split, augment=Augment(), workers=workers, batch_size=5, steps=3)
    seen = list(batches)
    assert set(batches.quarantined) == {"a/0.png", "b/3.png"}
    assert "no known image format" in batches.quarantined["a/0.png"]
    index = torch.cat([batch.index for batch in seen]).tolist()
    broken = {list(split.names).index(name) for name in batches.quarantined}
    assert len(index) == 15 and not broken & set(index)
    assert set(index) == set(range(15)) - broken
    again = training(split, augment=Augment(), batch_size=5, steps=3, start_step=1)
    assert same(again, seen[1:])


@pytest.mark.parametrize("workers", [0, 1])
def test_only_broken_files_end_the_run_in_one_sentence(split: Split, tmp_path: Path, workers: int):
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="15 files in a row cannot be read") as caught:
        list(training(split, workers=workers))
    assert "\n" not in str(caught.value)


def test_an_empty_split_and_impossible_shares_are_refused():
    with pytest.raises(DataError, match="the training split has no images"):
        training(in_memory(3).subset([]))
    with pytest.raises(RecipeError, match="cannot be shared by 3 processes"):
        list(training(in_memory(3), world=3))
    with pytest.raises(RecipeError, match="channels=4"):
        training(in_memory(3), preprocess=Preprocess.for_channels(4))


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_evaluation_sees_every_image_once_over_all_processes(world: int):
    split = in_memory(11)
    seen: list[int] = []
    for rank in range(world):
        batches = EvaluationBatches(split, preprocess=GREY, batch_size=3, rank=rank, world=world)
        got = list(batches)
        assert len(got) == len(batches)
        index = torch.cat([batch.index for batch in got]).tolist() if got else []
        assert index == sorted(index)
        seen += index
    assert sorted(seen) == list(range(11))


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_stops_at_a_broken_file_and_names_it(split: Split, tmp_path: Path, workers: int):
    plain = list(EvaluationBatches(split, preprocess=COLOR, batch_size=4, workers=workers))
    assert [len(batch.images) for batch in plain] == [4, 4, 4, 3]
    for batch in plain:
        pictures = [COLOR.evaluation(split.open(index, 3)) for index in batch.index.tolist()]
        assert torch.equal(batch.images, COLOR.normalize(torch.stack(pictures)))
    (tmp_path / "c/4.png").write_bytes(b"broken")
    with pytest.raises(BrokenImage, match=r"^c/4\.png is no readable image: [^\n]*$") as caught:
        list(EvaluationBatches(split, preprocess=COLOR, batch_size=4, workers=workers))
    assert caught.value.name == "c/4.png"


def test_more_classes_than_the_split_has_widen_mixed_targets(split: Split):
    (batch,) = training(split, classes=9, steps=1)
    assert batch.targets.shape == (4, 9)


def test_a_stream_that_is_left_early_ends_its_workers(split: Split):
    stream = iter(training(split, workers=1))
    next(stream)
    stream.close()
    assert multiprocessing.active_children() == []


class Deadly(Split):
    """Kills the process that opens an image."""

    def pixels(self, index: int, channels: int):
        signal.raise_signal(signal.SIGKILL)


def test_a_worker_that_is_killed_is_one_sentence(split: Split):
    deadly = Deadly(split.classes, split.labels, split.names, split.rows, split.reader)
    with pytest.raises(DeviceError, match="a worker that reads images was killed") as caught:
        list(training(deadly, workers=1))
    assert "use fewer workers" in str(caught.value)


unix = pytest.mark.skipif(sys.platform == "win32", reason="signals differ")


@unix
def test_workers_leave_signals_to_the_main_process(split: Split):
    stream = iter(training(split, workers=1, steps=50))
    next(stream)
    (worker,) = multiprocessing.active_children()
    for kind in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, kind)
    assert len(list(stream)) == 49


def _idle(ready: Event) -> None:
    loader._start_worker(0)
    ready.set()
    time.sleep(60)


@unix
def test_a_worker_that_is_told_to_end_does_so_after_a_grace(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loader, "_GRACE_S", 1)
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    worker = fork.Process(target=_idle, args=(ready,))
    worker.start()
    assert ready.wait(30)
    worker.terminate()
    began = time.monotonic()
    worker.join(30)
    assert worker.exitcode == -signal.SIGALRM
    assert time.monotonic() - began > 0.5


def test_batches_can_be_sent_to_another_process(split: Split):
    assert same(sent(training(split)), training(split))


@pytest.mark.slow
def test_spawned_workers_give_the_same_stream(split: Split, monkeypatch: pytest.MonkeyPatch):
    alone = list(training(split))
    monkeypatch.setattr(loader, "_start_method", lambda: "spawn")
    assert same(training(split, workers=2), alone)


@pytest.mark.data
def test_photos_become_batches(packs: Path):
    from vertebra.data.sources import open_source

    split = open_source(packs / "photos/photos.tar").splits["train"]
    batches = training(split, preprocess=Preprocess(image_size=64), augment=Augment(flip=0.5))
    (batch,) = replace(batches, batch_size=8, steps=1, augment=replace(ALL, crop=PadCrop()))
    assert batch.images.shape == (8, 3, 64, 64)
    assert batch.images.isfinite().all() and 0.3 < batch.images.std() < 3
