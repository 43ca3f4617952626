"""The forms of what the server says, which /openapi.json describes."""

from pydantic import BaseModel, Field

from vertebra.records import Json


class NamedClass(BaseModel):
    """A class, and how probable it is."""

    name: str = Field(alias="class")
    probability: float


class Row(BaseModel):
    """A file with its classes, the most probable first, or with what is wrong with it."""

    file: str
    classes: list[NamedClass] | None = None
    error: str | None = None


class Answers(BaseModel):
    """A row for each file, in the order of the request."""

    images: list[Row]


class Fault(BaseModel):
    """What was found, what was expected, what to do, in one sentence."""

    error: str


class Unreadable(Fault):
    """None of the files gives a picture; or `top` is no number, and there are no rows."""

    images: list[Row] | None = None


class Health(BaseModel):
    """Images under way; images answered since the start, and in how many passes of the network."""

    status: str
    waiting: int
    answered: int
    passes: int


class Facts(BaseModel):
    """The network: what it is called, its classes, what it takes, how it computes."""

    name: str
    recipe: str
    classes: list[str]
    preprocess: dict[str, Json]
    device: str
    precision: str
    fast_form: bool
    batch_size: int
    version: str
