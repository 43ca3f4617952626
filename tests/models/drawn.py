"""Networks as training leaves them: every tensor away from its start."""

from torch import nn


def randomise(net: nn.Module) -> nn.Module:
    """Draws each batch norm's scale, shift and statistics, and each bias; a zero hides a part."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 0.9)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.2)
    return net
