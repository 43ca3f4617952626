"""What a trained network says of an image, as the commands and the server write it."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from vertebra.records import Json


class Answer(NamedTuple):
    """The most probable classes of an image, best first, each with its probability."""

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def of(cls, name: str, probabilities: Tensor, classes: Sequence[str], *, top: int) -> "Answer":
        """Returns the `top` classes of an image, or all if there are fewer.

        probabilities: [K], one for each of `classes`.
        """
        best = probabilities.topk(min(top, len(classes)))
        places: list[int] = best.indices.tolist()
        return cls(name, tuple(classes[place] for place in places), tuple(best.values.tolist()))

    def row(self) -> dict[str, Json]:
        """Returns the file and its classes as JSON, probabilities with six digits."""
        ranked = zip(self.classes, self.probabilities, strict=True)
        classes = [{"class": name, "probability": round(share, 6)} for name, share in ranked]
        return {"file": self.name, "classes": classes}


def unread(name: str, reason: str) -> dict[str, Json]:
    """Returns the row of a file that gives no picture."""
    return {"file": name, "error": reason}
