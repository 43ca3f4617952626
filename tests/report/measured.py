"""Draws measurements as tables and pages take them."""

from vertebra.report.measured import Measured

FACTS = {"precision": "fp32", "threads": "2", "measured": "2026-11-22 13:21 UTC"}


def drawn(
    name: str,
    *,
    latency_ms: float | None = 10.0,
    top1: float | None = None,
    image_size: int = 224,
    family: str = "ResNet",
    failure: str | None = None,
) -> Measured:
    figures = {
        "parameters": 25_557_032.0,
        "macs": 4_089_184_256.0,
        "macs_convolution": 4_087_136_256.0,
        "macs_depthwise": 0.0,
        "macs_linear": 2_048_000.0,
        "macs_matmul": 0.0,
        "activations": 11_114_984.0,
        "inference_memory_mb": 140.2,
        "training_memory_mb": None if failure else 1536.0,
        "latency_ms": latency_ms,
        "latency_p95_ms": latency_ms,
        "latency_ratio": latency_ms and latency_ms / 10,
        "images_per_s": latency_ms and 2000 / latency_ms,
        "best_batch_size": latency_ms and 8.0,
    }
    return Measured(
        name=name,
        image_size=image_size,
        family=family,
        figures=figures,
        top1=top1,
        source=None if top1 is None else "A paper (2021)",
        failure=failure,
    )
