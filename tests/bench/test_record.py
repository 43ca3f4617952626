import csv
import io
import json
from dataclasses import replace

import pytest

from vertebra.bench.latency import Spread
from vertebra.bench.operators import KINDS
from vertebra.bench.record import (
    BenchRecord,
    Latency,
    Throughput,
    from_data,
    to_csv,
    to_data,
)
from vertebra.bench.settings import BenchSettings
from vertebra.errors import CheckpointError, RecipeError

RATIO = Spread(p25=0.9, p50=1.0, p75=1.1)
WHOLE = BenchRecord(
    model="resnet50",
    image_size=224,
    settings=BenchSettings(threads=2, fused=True),
    machine={"device": "cpu: x86_64", "torch": "2.15.0"},
    measured="2026-11-22T13:21:00+00:00",
    parameters=25_557_032,
    macs=dict.fromkeys(KINDS, 100),
    activations=11_114_984,
    inference_memory_mb=140.5,
    training_memory_mb=400.25,
    latency=Latency(
        batch_size=1, calls=50, p25_ms=1.0, p50_ms=2.0, p75_ms=3.0, p95_ms=4.0, ratio=RATIO
    ),
    throughput=Throughput(batch_size=16, calls=20, images_per_s=321.0, ratio=RATIO),
)
BARE = BenchRecord(
    model="huge",
    image_size=600,
    settings=BenchSettings(),
    machine={},
    measured="2026-11-22T13:21:00+00:00",
    failure="inference of 1: out of memory",
)


@pytest.mark.parametrize(
    "record",
    [WHOLE, BARE, replace(WHOLE, throughput=None, latency=replace(WHOLE.latency, ratio=None))],
)
def test_a_record_comes_back_from_json_as_it_was(record):
    assert from_data(json.loads(json.dumps(to_data(record)))) == record


def test_a_broken_record_is_told():
    for change in ({"latency": {"p50_ms": 1}}, {"settings": None}, {"colour": "red"}):
        with pytest.raises(CheckpointError, match="no bench record"):
            from_data({**to_data(WHOLE), **change})


def test_every_record_has_every_figure():
    assert list(WHOLE.figures()) == list(BARE.figures())
    assert set(BARE.figures().values()) == {None}
    assert WHOLE.figures()["macs"] == 400
    assert WHOLE.figures()["latency_ratio"] == 1.0


def test_the_table_has_a_row_a_record_and_empty_cells_for_what_is_not_known():
    rows = list(csv.DictReader(io.StringIO(to_csv([WHOLE, BARE]))))
    assert [row["model"] for row in rows] == ["resnet50", "huge"]
    assert rows[0]["images_per_s"] == "321.0"
    assert rows[0]["fused"] == "True"
    assert (rows[1]["parameters"], rows[1]["failure"]) == ("", "inference of 1: out of memory")


@pytest.mark.parametrize(
    "values", [{"batch_size": 0}, {"threads": -1}, {"budget_s": 0}, {"budget_s": float("nan")}]
)
def test_settings_that_measure_nothing_are_refused(values):
    with pytest.raises(RecipeError, match="give"):
        BenchSettings(**values)


def test_a_training_step_has_two_images_at_least():
    assert [BenchSettings(batch_size=n).step_size for n in (None, 1, 2, 8)] == [2, 2, 2, 8]
