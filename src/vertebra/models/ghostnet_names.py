"""What timm calls the parts of GhostNet."""

from vertebra.models.names import Names, Rule

# Ours has the bottlenecks of a size in one stage; timm has the first and the others in two.
_FIRST: Rule = (r"^stages\.(\d+)\.0\.", lambda found: f"blocks.{2 * int(found[1]) + 1}.0.")
_OTHERS: Rule = (
    r"^stages\.(\d+)\.(\d+)\.",
    lambda found: f"blocks.{2 * int(found[1]) + 2}.{int(found[2]) - 1}.",
)

TIMM = Names(
    "timm",
    (
        (r"^head\.fc\.", "classifier."),
        (r"^stem\.conv\.conv\.", "conv_stem."),
        (r"^stem\.conv\.norm\.", "bn1."),
        (r"^stem\.bottleneck\.", "blocks.0.0."),
        _FIRST,
        _OTHERS,
        (r"^neck\.conv\.conv\.", "blocks.9.0.conv."),
        (r"^neck\.conv\.norm\.", "blocks.9.0.bn1."),
        (r"^neck\.project\.", "conv_head."),
        (r"\.branch\.expand\.", ".ghost1."),
        (r"\.branch\.project\.", ".ghost2."),
        (r"\.primary\.conv\.", ".primary_conv.0."),
        (r"\.primary\.norm\.", ".primary_conv.1."),
        (r"\.cheap\.conv\.", ".cheap_operation.0."),
        (r"\.cheap\.norm\.", ".cheap_operation.1."),
        (r"\.branch\.spatial\.conv\.", ".conv_dw."),
        (r"\.branch\.spatial\.norm\.", ".bn_dw."),
        (r"\.branch\.gate\.squeeze\.", ".se.conv_reduce."),
        (r"\.branch\.gate\.excite\.", ".se.conv_expand."),
        (r"\.shortcut\.spatial\.conv\.", ".shortcut.0."),
        (r"\.shortcut\.spatial\.norm\.", ".shortcut.1."),
        (r"\.shortcut\.project\.conv\.", ".shortcut.2."),
        (r"\.shortcut\.project\.norm\.", ".shortcut.3."),
    ),
    heads=("classifier",),
)
