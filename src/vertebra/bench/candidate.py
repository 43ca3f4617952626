"""A model on its way through a measurement."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

from vertebra.bench.failure import FAILURES, reason
from vertebra.bench.latency import Blocks, Spread, quantile
from vertebra.bench.memory import peak_memory_mb, usable_mb
from vertebra.bench.operators import operators
from vertebra.bench.record import BenchRecord, Latency, Throughput
from vertebra.bench.throughput import MOST, best_batch_size
from vertebra.bench.work import (
    Subject,
    Work,
    compiled,
    draw_images,
    inference,
    inference_form,
    synchronizer,
    training_step,
)


class Candidate:
    """Measures one model step by step; after a failure the steps that are left do nothing.

    record: what was found so far.
    works:  the calls that are left to time, in turn with those of other models; no "throughput"
            where its batch size is the one of "latency".
    """

    def __init__(self, subject: Subject, record: BenchRecord) -> None:
        self.record = record
        self.works: dict[str, Work] = {}
        self._subject = subject
        self._settings = record.settings
        self._best_size = record.settings.call_size
        self._blocks: dict[str, Blocks] = {}

    def examine(self) -> None:
        """Finds what the model takes by itself."""
        settings = self._settings
        self._attempt("counting its operations", self._count)
        self._attempt(f"inference of {settings.call_size}", self._weigh_inference)
        self._attempt("inference", self._prepare)
        # last: a model that cannot be trained here is still timed
        self._attempt(f"a training step of {settings.step_size}", self._weigh_training)

    def note(self, blocks: dict[str, Blocks]) -> None:
        """Takes what the calls in `works` took; where one of them failed, there are no times."""
        if not blocks or blocks.keys() != self.works.keys():
            return
        self._blocks = {"throughput": blocks["latency"], **blocks}
        milliseconds = [1000 * each for each in chain.from_iterable(blocks["latency"])]
        calls = [*chain.from_iterable(self._blocks["throughput"])]
        p25, p50, p75, p95 = (quantile(milliseconds, share) for share in (0.25, 0.5, 0.75, 0.95))
        self.record = replace(
            self.record,
            latency=Latency(
                batch_size=self._settings.call_size,
                calls=len(milliseconds),
                p25_ms=p25,
                p50_ms=p50,
                p75_ms=p75,
                p95_ms=p95,
            ),
            throughput=Throughput(
                batch_size=self._best_size,
                calls=len(calls),
                images_per_s=self._best_size / quantile(calls, 0.5),
            ),
        )

    def compare(self, first: "Candidate") -> None:
        """Notes the ratios to another model, round by round."""
        latency, throughput = self.record.latency, self.record.throughput
        if latency is None or throughput is None or first.record.latency is None:
            return
        slower = _ratios(self._medians("latency"), first._medians("latency"))
        seconds = _ratios(first._medians("throughput"), self._medians("throughput"))
        sizes = self._best_size / first._best_size
        self.record = replace(
            self.record,
            latency=replace(latency, ratio=Spread.of(slower)),
            throughput=replace(throughput, ratio=Spread.of([sizes * each for each in seconds])),
        )

    def fail(self, error: Exception, *, doing: str) -> None:
        """Notes why the model was not measured any further; its calls are not timed."""
        self.record = replace(self.record, failure=reason(error, doing=doing))

    def _attempt(self, doing: str, step: Callable[[], None]) -> None:
        if self.record.failure is not None:
            return
        try:
            step()
        except FAILURES as error:
            self.fail(error, doing=doing)

    def _count(self) -> None:
        model, subject = self._subject.build(), self._subject
        macs, activations = operators(
            model, image_size=subject.image_size, in_channels=subject.in_channels
        )
        parameters = sum(parameter.numel() for parameter in model.parameters())
        self.record = replace(
            self.record, parameters=parameters, macs=macs, activations=activations
        )

    def _weigh_inference(self) -> None:
        settings = self._settings

        def prepare() -> Work:
            images = draw_images(self._subject, settings.call_size, settings)
            model = inference_form(self._subject, settings, batch_size=settings.call_size)
            return inference(model, images, settings)

        peak = peak_memory_mb(prepare, settings.torch_device)
        self.record = replace(self.record, inference_memory_mb=peak)

    def _weigh_training(self) -> None:
        eager = replace(self._settings, compile=False)

        def prepare() -> Work:
            images = draw_images(self._subject, eager.step_size, eager)
            return training_step(self._subject, images, eager)

        peak = peak_memory_mb(prepare, eager.torch_device)
        self.record = replace(self.record, training_memory_mb=peak)

    def _prepare(self) -> None:
        settings = self._settings
        model = inference_form(self._subject, settings, batch_size=settings.call_size)
        call = compiled(model) if settings.compile and not settings.optimized else model

        def work_of(batch_size: int) -> Work:
            images = draw_images(self._subject, batch_size, settings)
            if settings.optimized and batch_size != settings.call_size:  # it is made for a size
                own = inference_form(self._subject, settings, batch_size=batch_size)
                return inference(own, images, settings)
            return inference(call, images, settings)

        latency = work_of(settings.call_size)
        latency()
        works = {"latency": latency}
        if settings.batch_size is None:
            self._best_size = best_batch_size(
                work_of,
                synchronize=synchronizer(settings.torch_device),
                most=self._most_images(),
                budget_s=settings.budget_s,
            )
            if self._best_size > 1:
                works["throughput"] = work_of(self._best_size)
        self.works = works

    def _most_images(self) -> int:
        """Returns a batch that half of this machine's memory holds: a CPU's gives no warning."""
        room, image_mb = usable_mb(self._settings.torch_device), self.record.inference_memory_mb
        if room is None or not image_mb:
            return MOST
        return max(1, min(MOST, int(room / 2 / image_mb)))

    def _medians(self, kind: str) -> list[float]:
        return [quantile(block, 0.5) for block in self._blocks[kind]]


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [our / their for our, their in zip(ours, theirs, strict=True)]
