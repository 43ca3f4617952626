"""Networks as training leaves them: every tensor away from its start."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def randomise(net: nn.Module) -> nn.Module:
    """Draws norms with their statistics, biases, and what else is constant: it may hide a part."""
    for module in net.modules():
        if isinstance(module, _BatchNorm | nn.GroupNorm | nn.LayerNorm):
            if module.weight is not None:
                nn.init.uniform_(module.weight, 0.3, 0.9)
            if module.weight is not None and module.bias is not None:
                nn.init.normal_(module.bias, std=0.2)
            if isinstance(module, _BatchNorm):
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, CONVOLUTIONS) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.2)
    for parameter in net.parameters():
        if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
            nn.init.uniform_(parameter, 0.3, 0.9)
    return net
