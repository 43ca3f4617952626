"""What timm calls the parts of a LeViT."""

from vertebra.models.names import Names, Rule

_STEM: Rule = (r"^stem\.(\d)\.conv\.", lambda found: f"stem.conv{int(found[1]) + 1}.linear.")
_STEM_NORM: Rule = (r"^stem\.(\d)\.norm\.", lambda found: f"stem.conv{int(found[1]) + 1}.bn.")

TIMM = Names(
    "timm",
    (
        (r"^head\.(label\.)?norm\.", "head.bn."),
        (r"^head\.(label\.)?linear\.fc\.", "head.linear."),
        (r"^head\.teacher\.norm\.", "head_dist.bn."),
        (r"^head\.teacher\.linear\.fc\.", "head_dist.linear."),
        _STEM,
        _STEM_NORM,
        (r"^stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
        (r"\.halving\.attention\.", ".downsample.attn_downsample."),
        (r"\.halving\.mlp\.", ".downsample.mlp."),
        (r"\.attention\.", ".attn."),
        (r"\.bias\.table$", ".attention_biases"),
        (r"\.query\.", ".q.ln."),
        (r"\.key_value\.", ".kv."),
        (r"\.project\.", ".proj.ln."),
        (r"\.mlp\.0\.", ".mlp.ln1."),
        (r"\.mlp\.1\.", ".mlp.ln2."),
        (r"(^stages\..+)\.norm\.", r"\1.bn."),
    ),
    heads=("head", "head_dist"),
)
