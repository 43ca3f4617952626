"""What torchvision and timm call the parts of residual networks."""

from vertebra.models.names import Names, Rule

_PLACE: Rule = (r"^stages\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}.")
_BLOCK: tuple[Rule, ...] = (
    _PLACE,
    (r"\.(first|reduce)\.conv\.", ".conv1."),
    (r"\.(first|reduce)\.norm\.", ".bn1."),
    (r"\.(second|spatial)\.conv\.", ".conv2."),
    (r"\.(second|spatial)\.norm\.", ".bn2."),
    (r"\.expand\.conv\.", ".conv3."),
    (r"\.expand\.norm\.", ".bn3."),
    (r"\.shortcut\.conv\.", ".downsample.0."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
)
_WHOLE: tuple[Rule, ...] = (
    (r"^head\.fc\.", "fc."),
    (r"^stem\.whole\.conv\.", "conv1."),
    (r"^stem\.whole\.norm\.", "bn1."),
)

TORCHVISION = Names("torchvision", (*_WHOLE, *_BLOCK), heads=("fc",))

TIMM = Names(
    "timm",
    (
        *_WHOLE,
        (r"^stem\.first\.conv\.", "conv1.0."),
        (r"^stem\.first\.norm\.", "conv1.1."),
        (r"^stem\.second\.conv\.", "conv1.3."),
        (r"^stem\.second\.norm\.", "conv1.4."),
        (r"^stem\.third\.conv\.", "conv1.6."),
        (r"^stem\.third\.norm\.", "bn1."),
        (r"^stem\.pool\.conv\.", "maxpool.0."),
        (r"^stem\.pool\.norm\.", "maxpool.1."),
        (r"\.gate\.squeeze\.", ".se.fc1."),
        (r"\.gate\.excite\.", ".se.fc2."),
        (r"\.spatial\.(attend\.)?splits\.conv\.", ".conv2.conv."),
        (r"\.spatial\.(attend\.)?splits\.norm\.", ".conv2.bn0."),
        (r"\.spatial\.(attend\.)?squeeze\.conv\.", ".conv2.fc1."),
        (r"\.spatial\.(attend\.)?squeeze\.norm\.", ".conv2.bn1."),
        (r"\.spatial\.(attend\.)?excite\.", ".conv2.fc2."),
        (r"\.shortcut\.project\.conv\.", ".downsample.1."),
        (r"\.shortcut\.project\.norm\.", ".downsample.2."),
        *_BLOCK,
    ),
    heads=("fc",),
)

TIMM_SELECTIVE = Names(
    "timm",
    (
        (r"\.spatial\.branches\.(\d+)\.conv\.", r".conv2.paths.\1.conv."),
        (r"\.spatial\.branches\.(\d+)\.norm\.", r".conv2.paths.\1.bn."),
        (r"\.spatial\.squeeze\.conv\.", ".conv2.attn.fc_reduce."),
        (r"\.spatial\.squeeze\.norm\.", ".conv2.attn.bn."),
        (r"\.spatial\.select\.", ".conv2.attn.fc_select."),
        (r"\.reduce\.conv\.", ".conv1.conv."),
        (r"\.reduce\.norm\.", ".conv1.bn."),
        (r"\.expand\.conv\.", ".conv3.conv."),
        (r"\.expand\.norm\.", ".conv3.bn."),
        *TIMM.rules,
    ),
    heads=TIMM.heads,
)
"""Where selective kernels stand in a block, timm names its other convolutions differently too."""
