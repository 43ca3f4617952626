"""Buffers of matrix products, which MKL keeps for the next unless it is told otherwise.

In a heap that is kept, as those of our commands are, the next product finds such memory again
anyway; what MKL keeps for itself nobody else can use in between: 20 to 45 MB of a training step in
fp32.
"""

import os


def give_buffers_back() -> None:
    """Has MKL, where torch is built with it, free each buffer after use.

    Comes before torch is imported, and holds for the process and those that it starts.
    """
    os.environ["MKL_DISABLE_FAST_MM"] = "1"
