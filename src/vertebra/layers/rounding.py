"""The one rule by which a scaled number of channels becomes a whole one."""


def round_channels(channels: float, multiple: int = 8) -> int:
    """Returns the multiple of `multiple` nearest to `channels` (halves go up), but never zero."""
    return max(multiple, int(channels + multiple / 2) // multiple * multiple)
