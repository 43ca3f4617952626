"""What timm and torchvision call the parts of a ConvNeXt."""

from vertebra.models.names import Names, Rule

TIMM = Names(
    "timm",
    (
        (r"^norm\.", "head.norm."),
        (r"^stem\.conv\.", "stem.0."),
        (r"^stem\.norm\.", "stem.1."),
        (r"^(stages\.\d+)\.\d+\.block(\d+)\.", r"\1.blocks.\2."),
        (r"^(stages\.\d+)\.\d+\.downsample\.norm\.", r"\1.downsample.0."),
        (r"^(stages\.\d+)\.\d+\.downsample\.conv\.", r"\1.downsample.1."),
        (r"\.spatial\.", ".conv_dw."),
        (r"\.expand\.", ".mlp.fc1."),
        (r"\.reduce\.", ".mlp.fc2."),
    ),
    heads=("head.fc",),
)

_TORCHVISION: tuple[Rule, ...] = (
    (r"^norm\.", "classifier.0."),
    (r"^head\.fc\.", "classifier.2."),
    (r"^stem\.conv\.", "features.0.0."),
    (r"^stem\.norm\.", "features.0.1."),
    (r"\.downsample\.norm\.", ".downsample.0."),
    (r"\.downsample\.conv\.", ".downsample.1."),
    (r"\.spatial\.", ".block.0."),
    (r"\.norm\.", ".block.2."),
    (r"\.expand\.", ".block.3."),
    (r"\.reduce\.", ".block.5."),
    (r"\.gamma$", ".layer_scale"),
    (r"^stages\.(\d+)\.\d+\.downsample\.", lambda found: f"features.{2 * int(found[1])}."),
    (
        r"^stages\.(\d+)\.\d+\.block(\d+)\.",
        lambda found: f"features.{2 * int(found[1]) + 1}.{found[2]}.",
    ),
)

TORCHVISION = Names("torchvision", _TORCHVISION, heads=("classifier.2",))
