"""How much a server takes on at once."""

from dataclasses import dataclass

from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server takes on.

    top:           classes in an answer where a request does not say how many.
    batch_size:    images that go through the network at once, at most.
    max_waiting:   images that may be under way, those of all requests together.
    max_upload_mb: of one request, MB of 1024 * 1024 bytes.
    """

    top: int = 5
    batch_size: int = 32
    max_waiting: int = 256
    max_upload_mb: float = 32

    def __post_init__(self) -> None:
        for name in ("top", "batch_size", "max_waiting"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name}={getattr(self, name)}; give at least 1")
        if not 0 < self.max_upload_mb < 2**20:
            raise RecipeError(f"max_upload_mb={self.max_upload_mb}; give a number above 0, as 32")
