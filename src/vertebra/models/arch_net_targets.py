"""What an Arch-Net is taught to give: the outputs of its parts, side by side with its teacher's.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors: the stem, each convolution of each block, the block's end, and last the logits.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.models.arch_net_original import ResidualUnit, units_of
from vertebra.models.arch_net_parts import ArchBlock
from vertebra.models.residual_blocks import BasicBlock, Bottleneck
from vertebra.models.shell import StagedNet


def outputs(model: Classifier, images: Tensor) -> Iterator[Tensor]:
    """Yields what each part gives, from the stem to the logits, as it is computed.

    model: a residual network or an Arch-Net, with its head. Who stops early computes no more.
    """
    net = _staged(model)
    x = net.stem(images)
    yield x
    for block in _blocks(net):
        branch = x
        for unit in _units(block):
            branch = unit(branch)
            yield branch
        x = _joined(block, branch, x)
        yield x
    yield model.head(net.pool(x))


def parts(model: Classifier) -> list[tuple[nn.Module, ...]]:
    """Returns the modules that make each of the outputs out of those before it."""
    net = _staged(model)
    found: list[tuple[nn.Module, ...]] = [(net.stem,)]
    for block in _blocks(net):
        found += [(unit,) for unit in _units(block)]
        found.append((block.shortcut, block.join) if isinstance(block, ArchBlock) else (block,))
    return [*found, (model.head,)]


def _staged(model: Classifier) -> StagedNet:
    if not isinstance(model.backbone, StagedNet):
        raise RecipeError(f"a {type(model.backbone).__name__} has no stages of blocks")
    return model.backbone


def _blocks(net: StagedNet) -> Iterator[ArchBlock | ResidualUnit]:
    for stage in net.stages:
        for block in stage.children():
            if isinstance(block, ArchBlock | BasicBlock | Bottleneck):
                yield block


def _units(block: ArchBlock | ResidualUnit) -> tuple[nn.Module, ...]:
    return tuple(block.units) if isinstance(block, ArchBlock) else units_of(block)


def _joined(block: ArchBlock | ResidualUnit, branch: Tensor, x: Tensor) -> Tensor:
    if isinstance(block, ArchBlock):
        return block.joined(branch, x)
    # not in place, as the block itself does it: what was yielded has to stay
    return block.act(branch + block.shortcut(x))
