"""The weights of a residual network become those of its Arch-Net.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors, which copies what has the same name and shape and draws joins and head anew.
Differs: the head is the teacher's. A join starts as the sum, [I | I] in the middle of its kernels,
so that before anything is quantised all but a 7x7 stem or a pool is reproduced, up to rounding;
only fixed levels for filters, which have none at zero and would drown it, leave it as it was drawn.
Norms that the teacher lacks start with the spread that its own let expect, branch and shortcut
taken for independent. Where fixed levels make activations small, batch statistics begin at zero, so
that they soon are the student's own.
"""

from itertools import chain

import torch
from torch import Tensor, nn

from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.linear_head import LinearHead
from vertebra.layers.quantise import FilterLevels
from vertebra.layers.quantised import QuantisedConv2d
from vertebra.layers.rectified import Spread
from vertebra.models.arch_net import ArchNet, start_levels
from vertebra.models.arch_net_original import (
    Conv3x3,
    ResidualUnit,
    as_3x3,
    blocks_of,
    units_of,
)
from vertebra.models.arch_net_parts import ArchBlock, ConcatConv, WideConv
from vertebra.models.shell import ResidualNet


@torch.no_grad()
def start_from(model: Classifier, teacher: Classifier, order: Tensor) -> None:
    """Copies the weights of the teacher, a residual network, into its Arch-Net.

    order: [K], the place among the teacher's classes of each of the model's.

    Raises:
        RecipeError: the one is no Arch-Net, or not of the other.
    """
    net, original = require_pair(model, teacher)
    spread = _start_stem(net.stem, original.stem)
    mine = chain(*(stage.children() for stage in net.stages))
    theirs = chain(*map(blocks_of, original.stages))
    for block, its in zip(mine, theirs, strict=True):
        if isinstance(block, ArchBlock):
            spread = _start_block(block, its, spread)
    if isinstance(model.head, LinearHead) and isinstance(teacher.head, LinearHead):
        model.head.fc.weight.copy_(teacher.head.fc.weight[order])
        model.head.fc.bias.copy_(teacher.head.fc.bias[order])
    for part in net.modules():
        if isinstance(part, ConvNorm):
            start_levels(part)
        if isinstance(part, nn.BatchNorm2d) and net.spec.makes_small:
            for statistic in (part.running_mean, part.running_var):
                if statistic is not None:
                    statistic.zero_()


def require_pair(model: Classifier, teacher: Classifier) -> tuple[ArchNet, ResidualNet]:
    """Returns the two networks, of which the first stands for one like the second.

    Raises:
        RecipeError: they are not such.
    """
    net, original = model.backbone, teacher.backbone
    if not isinstance(net, ArchNet):
        raise RecipeError(
            f"the student is a {type(net).__name__} and has to be an Arch-Net; give the model "
            f"ArchNetSpec, of the teacher's own spec"
        )
    expected = net.spec.original(net.in_channels)
    # shapes alone would not tell where the strides are
    if not isinstance(original, ResidualNet) or repr(original) != repr(expected):
        raise RecipeError(
            f"the teacher, a {type(original).__name__}, is not what the Arch-Net stands for; give "
            f"ArchNetSpec the teacher's own spec as `of`"
        )
    return net, original


def _start_stem(stem: nn.Module, original: nn.Module) -> Spread:
    """Copies what the stems have in common; returns what the last norm of the original gives."""
    theirs = dict(original.named_children())
    for name, part in stem.named_children():
        if isinstance(part, ConvNorm | WideConv) and name in theirs:
            _write(part, as_3x3(theirs[name]))
    norms = [part.norm for part in theirs.values() if isinstance(part, ConvNorm)]
    return Spread.behind(norms[-1]).rectified()


def _start_block(block: ArchBlock, original: ResidualUnit, spread: Spread) -> Spread:
    """Copies a block; `spread` is that of its input, and what is returned that of its output."""
    for unit, its in zip(block.units, units_of(original), strict=True):
        _write(unit, as_3x3(its))
    if not isinstance(original.shortcut, nn.Identity):
        projection = as_3x3(original.shortcut)
        _write(block.shortcut, projection)
        spread = Spread.behind(projection.norm)
    spread = spread.plus(Spread.behind(original.last_norm()))
    _write_sum(block.join, _passing_on(spread))
    return spread.rectified()


def _write(part: nn.Module, conv: Conv3x3) -> None:
    """Makes the part compute the convolution and its norm."""
    if isinstance(part, ConvNorm):
        part.conv.weight.copy_(conv.kernel)
        part.norm.load_state_dict(conv.norm.state_dict())
    elif isinstance(part, WideConv):
        pieces = conv.kernel.chunk(len(part.parts), 1)
        statistics = conv.norm.state_dict()
        mean, variance = (statistics[f"running_{name}"] / len(pieces) for name in ("mean", "var"))
        for each, kernel in zip(part.parts, pieces, strict=True):
            norm = _passing_on(Spread(mean, variance.sqrt()))
            _write(each, Conv3x3(kernel, conv.stride, norm, has_relu=False))
        _write_sum(part.join, conv.norm)


def _write_sum(join: ConcatConv, norm: nn.Module) -> None:
    """Makes the join compute the sum, if its levels let it, and the norm."""
    done = 0
    for part in join.convs:
        if isinstance(part, ConvNorm):
            channels = part.conv.out_channels
            if not _has_fixed_levels(part.conv):
                every = torch.arange(channels)
                part.conv.weight.zero_()
                for term in range(join.terms):
                    part.conv.weight[every, term * channels + every, 1, 1] = 1.0
            mine = part.norm.state_dict()
            for name, value in norm.state_dict().items():
                mine[name].copy_(value[done : done + channels] if value.ndim else value)
            done += channels


def _passing_on(spread: Spread) -> nn.BatchNorm2d:
    """Returns a norm that gives what it takes, if that is spread so while it learns."""
    norm = nn.BatchNorm2d(len(spread.mean))
    variance = spread.deviation**2
    state = norm.state_dict()
    state |= {"running_mean": spread.mean, "running_var": variance}
    state |= {"bias": spread.mean, "weight": (variance + norm.eps).sqrt()}
    norm.load_state_dict(state)
    return norm


def _has_fixed_levels(conv: nn.Conv2d) -> bool:
    return isinstance(conv, QuantisedConv2d) and isinstance(conv.quantiser, FilterLevels)
