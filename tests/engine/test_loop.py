"""The loop against a plain one, and its promises about what happens when."""

import copy
import math

import pytest
import torch
from tests.engine.drawn import CPU, Close, Plain, Watcher, drawn_batches, plain_training, trained
from tests.recipes.power_cut import Scripted
from torch import nn
from torch.testing import assert_close

from vertebra.contracts import Batch, Losses, ParameterGroup, Progress
from vertebra.duration import steps
from vertebra.engine.averaging import Averaging
from vertebra.engine.distributed import World
from vertebra.engine.execution import Execution
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.loop import parallel_and_compiled
from vertebra.engine.observers import Logger, Saver, Selector
from vertebra.engine.optimizers import SGD, AdamW
from vertebra.engine.pace import Pace
from vertebra.engine.schedules import Cosine, StepDecay
from vertebra.errors import Interrupted, NonFiniteError
from vertebra.records import EventLog, read_events

STEPS = 6


def weights(training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.method.state_dict().items()}


def test_the_loop_is_the_plain_one():
    training = plain_training(STEPS, schedule=Cosine(warmup=steps(2)))
    plain = copy.deepcopy(training.method)
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in plain.parameters() if p.ndim > 1], "weight_decay": 1e-4},
            {"params": [p for p in plain.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        momentum=0.9,
        nesterov=True,
    )
    batches = drawn_batches(STEPS, 8)
    moments = trained(training, batches)
    for step, (batch, seen) in enumerate(zip(batches, moments, strict=True)):
        factor = (step + 1) / 2 if step < 2 else (1 + math.cos(math.pi * (step - 2) / 4)) / 2
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * factor
        total, parts = plain(batch, Progress(step, STEPS))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        assert seen.update.lr == pytest.approx(0.1 * factor)
        assert seen.update.loss == pytest.approx(total.item(), rel=1e-5)
        assert seen.update.parts == pytest.approx({k: v.item() for k, v in parts.items()})
    assert_close(weights(training), plain.state_dict(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), AdamW(lr=0.01)])
@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_accumulated_batches_equal_one_large_batch(optimizer, clip_norm):
    found = []
    for accumulate in (1, 4):
        training = plain_training(STEPS, accumulate=accumulate, clip_norm=clip_norm)
        built = optimizer.build(training.method.parameter_groups(), CPU)
        training = plain_training(
            STEPS,
            method=training.method,
            optimizer=built,
            lr=optimizer.lr,
            accumulate=accumulate,
            clip_norm=clip_norm,
        )
        moments = trained(training, drawn_batches(STEPS * accumulate, 16 // accumulate))
        assert {each.update.images for each in moments} == {16}
        found.append((weights(training), [each.update.loss for each in moments]))
    # Adam divides by the gradient's size, which turns rounding of tiny ones into more
    assert_close(found[0], found[1], atol=2e-6, rtol=1e-5)


def test_clipping_is_torchs_on_the_summed_gradient():
    clip_norm, batches = 0.05, drawn_batches(2, 8)
    training = plain_training(1, accumulate=2, clip_norm=clip_norm)
    plain = copy.deepcopy(training.method)
    whole = Batch(
        *(torch.cat([getattr(b, name) for b in batches]) for name in ("images", "targets", "index"))
    )
    plain(whole, Progress(0, 1)).total.backward()
    norm = nn.utils.clip_grad_norm_(plain.parameters(), clip_norm)
    assert norm > 2 * clip_norm
    trained(training, batches)
    for mine, its in zip(training.method.parameters(), plain.parameters(), strict=True):
        decay = 1e-4 * its if its.ndim > 1 else 0.0
        # the first update of Nesterov's momentum is 1 + momentum times the gradient
        assert_close(mine, its - 0.1 * 1.9 * (its.grad + decay), atol=1e-7, rtol=1e-5)


def test_the_rate_follows_the_schedule_in_every_group():
    class Scaled(Plain):
        def parameter_groups(self):
            first, last = self.model[0], self.model[3]
            return [
                ParameterGroup("first", [*first.parameters()], decays=True, lr_scale=0.5),
                ParameterGroup("last", [*last.parameters()], decays=True),
            ]

    training = plain_training(8, method=Scaled(), schedule=StepDecay(milestones=(0.5,)))
    rates = []

    class Reader(Close):
        def after_step(self, moment):
            rates.append([group["lr"] for group in training.optimizer.param_groups])

    moments = trained(training, drawn_batches(8, 4), Reader())
    expected = [0.1] * 4 + [0.01] * 4
    assert [each.update.lr for each in moments] == pytest.approx(expected)
    assert rates == [pytest.approx([lr / 2, lr]) for lr in expected]


class Failing(Plain):
    """Its part "bad" is what the batch holds at the place of its first value."""

    def forward(self, batch, progress):
        total, parts = super().forward(batch, progress)
        bad = batch.images[0, 0].detach() * 0
        return Losses(total + bad, {**parts, "bad": bad})


class Near(Close, Watcher):
    """Keeps every moment, each at once."""

    after_step = Watcher.after_step


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("micro", [0, 1])
def test_a_loss_that_is_not_finite_stops_before_anyone_sees_the_update(value, micro):
    batches = drawn_batches(2 * STEPS, 4)
    batches[2 * 3 + micro].images[0, 0] = value
    training = plain_training(STEPS, method=Failing(), accumulate=2)
    near, far = Near(), Watcher()
    with pytest.raises(NonFiniteError, match=r"'bad' is nan at step 4 of 6; nothing of that"):
        trained(training, batches, near, far)
    for seen in (near.moments, far.moments):
        assert [each.step for each in seen] == [1, 2, 3]


@pytest.mark.parametrize("step", [1, 3, 4, 6])  # the first, of an evaluation, of none, the last
@pytest.mark.parametrize("seconds", [0.0, 1e6])  # a save after each update, and at the end alone
def test_nothing_is_kept_of_an_update_whose_loss_is_not_finite(step, seconds, tmp_path):
    batches = drawn_batches(STEPS, 4)
    batches[step - 1].images[0, 0] = math.nan
    training = plain_training(STEPS, method=Failing())
    log, evaluated, saved, view = EventLog(tmp_path / "metrics.jsonl"), [], [], Scripted()

    def figures():
        evaluated.append(weights(training))
        return {"top1": 0.5, "n": 9}

    observers = [
        Logger(training, log, view, every=1, pace=Pace()),
        Selector(
            training, figures, directory=tmp_path / "best", log=log, view=view, every=3, keep="last"
        ),
        Saver(saved.append, Interrupts(), log=log, world=World(), seconds=seconds),
    ]
    with pytest.raises(NonFiniteError, match=f"'bad' is nan at step {step} of 6"):
        trained(training, batches, *observers)
    before = list(range(1, step))
    assert view.steps == before
    assert saved == (before if seconds == 0 else [])
    assert len(evaluated) == len([each for each in before if each % 3 == 0])
    assert all(each.isfinite().all() for state in evaluated for each in state.values())
    assert (tmp_path / "best").exists() == (step > 3)
    told = [] if not log.path.exists() else list(read_events(log.path))
    assert [each["step"] for each in told if each["event"] == "step"] == before
    assert {each["step"] for each in told} <= set(before)


def test_an_update_is_shown_after_the_next_is_launched_or_at_once_where_weights_are_needed():
    calls = []

    class Method(Plain):
        def after_step(self, progress):
            calls.append(f"made {progress.step}")

    class Second(Watcher):
        def needs_weights(self, progress):
            return progress.step == 2

        def after_step(self, moment):
            calls.append(f"shown {moment.progress.step}")

    trained(plain_training(5, method=Method()), drawn_batches(5, 4), Second())
    assert calls == [
        *("made 1", "made 2", "shown 1", "shown 2"),
        *("made 3", "made 4", "shown 3", "made 5", "shown 4", "shown 5"),
    ]


def test_what_observers_are_shown_does_not_depend_on_when():
    found = []
    for other in (Close, Watcher):
        moments = trained(plain_training(STEPS), drawn_batches(STEPS, 4), other())
        found.append([each._replace(seconds=0, data_seconds=0) for each in moments])
    assert found[0] == found[1]


def test_an_infinite_total_of_finite_parts_is_named_too():
    class Overflowing(Plain):
        def forward(self, batch, progress):
            total, parts = super().forward(batch, progress)
            return Losses(total * math.inf, parts)

    with pytest.raises(NonFiniteError, match="'total' is inf at step 1 of 2"):
        trained(plain_training(2, method=Overflowing()), drawn_batches(2, 4))


def test_the_average_is_moved_after_each_update():
    training = plain_training(STEPS)
    spec = Averaging(decay=0.9)
    training = plain_training(
        STEPS, method=training.method, average=spec.build(training.method.deployable())
    )
    expected = {name: value.clone() for name, value in training.average.state_dict().items()}

    class Mover(Close):
        def after_step(self, moment):
            decay = spec.decay_at(moment.progress.step - 1)
            for name, value in training.method.deployable().state_dict().items():
                expected[name].lerp_(value, 1 - decay)
            assert_close(training.average.state_dict(), expected, atol=1e-7, rtol=1e-6)

    trained(training, drawn_batches(STEPS, 8), Mover())
    assert training.deployable() is training.average.module
    assert not torch.equal(expected["0.weight"], training.method.deployable()[0].weight)


def test_what_must_lag_moves_after_the_update_and_the_average():
    calls = []

    class Lagging(Plain):
        def after_step(self, progress):
            averaged = training.average.state_dict()["0.bias"].clone()
            calls.append((progress, weights(training), averaged))

    method = Lagging()
    average = Averaging(decay=0.0).build(method.deployable())  # a copy of the latest weights
    training = plain_training(2, method=method, average=average)
    before = weights(training)
    trained(training, drawn_batches(2, 8))
    assert [progress for progress, *_ in calls] == [Progress(1, 2), Progress(2, 2)]
    for _, at_call, averaged in calls:
        assert not torch.equal(at_call["model.0.bias"], before["model.0.bias"])
        assert_close(at_call["model.0.bias"], averaged, atol=0, rtol=0)
    assert_close(calls[-1][1], weights(training), atol=0, rtol=0)


def test_draws_depend_on_the_step_alone():
    whole = plain_training(STEPS, dropout=0.5)
    trained(whole, drawn_batches(STEPS, 8))

    class Stopping(Close):
        def after_step(self, moment):
            torch.rand(moment.progress.step)
            if moment.progress.step == 3:
                raise Interrupted

    cut = plain_training(STEPS, dropout=0.5)
    with pytest.raises(Interrupted):
        trained(cut, drawn_batches(STEPS, 8), Stopping())
    torch.manual_seed(99)
    trained(cut, drawn_batches(3, 8, start=3), start=3)
    assert_close(weights(cut), weights(whole), atol=0, rtol=0)

    other = plain_training(STEPS, dropout=0.5, seed=1)
    trained(other, drawn_batches(STEPS, 8))
    assert not torch.equal(weights(other)["model.0.bias"], weights(whole)["model.0.bias"])


def test_every_step_draws_its_own_dropout():
    masks = []

    class Masked(Plain):
        def forward(self, batch, progress):
            masks.append(nn.functional.dropout(torch.ones(64)))
            return super().forward(batch, progress)

    trained(plain_training(2, method=Masked(), accumulate=2), drawn_batches(4, 4))
    for n in range(4):
        assert not any(torch.equal(masks[n], masks[m]) for m in range(n))


def test_a_moment_says_where_the_run_is():
    training = plain_training(5, earlier_steps=10, accumulate=2)
    moments = trained(training, drawn_batches(6, 4, start=4), start=2)
    assert [each.step for each in moments] == [13, 14, 15]
    assert [each.epoch for each in moments] == [3 / 4, 1.0, 5 / 4]
    assert [each.progress for each in moments] == [Progress(n, 5) for n in (3, 4, 5)]
    assert all(0 < each.data_seconds < each.seconds for each in moments)
    assert moments[-1].progress.fraction == 1.0


def test_a_method_is_trained_in_training_mode_and_left_without_gradients():
    training = plain_training(1)
    training.method.eval()
    trained(training, drawn_batches(1, 4))
    assert training.method.model.training
    assert all(p.grad is None for p in training.method.parameters())


def test_losses_are_computed_under_the_precision_that_is_asked_for():
    seen = []

    class Typed(Plain):
        def forward(self, batch, progress):
            seen.append(self.model(batch.images).dtype)
            return super().forward(batch, progress)

    for precision in ("fp32", "bf16"):
        training = plain_training(1, method=Typed(), execution=Execution(precision=precision))
        trained(training, drawn_batches(1, 4))
        assert {p.dtype for p in training.method.parameters()} == {torch.float32}
    assert seen == [torch.float32, torch.bfloat16]


def test_alone_and_uncompiled_a_method_is_called_as_it_is():
    training = plain_training(1)
    assert parallel_and_compiled(training) is training.method


@pytest.mark.slow
def test_a_compiled_method_learns_the_same():
    found = []
    for is_compiled in (False, True):
        training = plain_training(STEPS, execution=Execution(compile=is_compiled))
        trained(training, drawn_batches(STEPS, 8))
        found.append(weights(training))
    assert_close(found[0], found[1], atol=1e-6, rtol=1e-5)
