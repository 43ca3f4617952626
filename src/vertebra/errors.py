"""The errors that a user can cause or meet, each with the exit code of the command that meets it.

A message is one sentence: what was found, what was expected, what to do. `VertebraError` and its
children are shown as that sentence without a traceback (`--debug` shows it); every other exception
is a defect of ours.
"""

from typing import ClassVar


class VertebraError(Exception):
    """Something a user can put right.

    The command that meets it ends with `exit_code` and leaves earlier runs untouched.
    """

    exit_code: ClassVar[int] = 2


class DataError(VertebraError):
    """A data set, a file in it, or its class names do not allow the run."""


class NoClassFolders(DataError):
    """A folder or an archive holds files, but no folder for each class."""


class RecipeError(VertebraError):
    """A recipe, or a change to one, has an unknown key, a wrong type or a value out of range."""


class NameLookupError(VertebraError):
    """A name is on no shelf; the message offers the nearest one."""


class CheckpointError(VertebraError):
    """A checkpoint or a run directory is missing, broken, or belongs to something else."""


class DeviceError(VertebraError):
    """A device, a precision, a port or free disk space that was asked for is not there."""


class MismatchError(VertebraError):
    """Two forms of a network should give the same answers, and do not."""


class MissingExtra(VertebraError):
    """An optional dependency is needed; the message says which extra brings it."""


class NonFiniteError(VertebraError):
    """The loss became NaN or infinite; the message names the step and the part of the loss."""

    exit_code: ClassVar[int] = 3


class Interrupted(VertebraError):
    """SIGINT or SIGTERM arrived; the state was saved, `vertebra resume` continues the same run."""

    exit_code: ClassVar[int] = 75
