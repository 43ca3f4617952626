"""How the process of a command ends: at once, after all that is to be done at the end.

Python takes apart what was imported before it ends. That does nothing for anybody, but takes a
second and 118 MB once torch and torchvision are there.
"""

import atexit
import errno
import os
import sys
from typing import NoReturn


class Ending:
    """Is made before anything else asks to be called at the end, so that it is called last."""

    def __init__(self) -> None:
        self._code: int | None = None
        atexit.register(self._leave)

    def exit(self, code: int) -> NoReturn:
        """Ends the process with this exit code."""
        self._code = code
        sys.exit(code)

    def _leave(self) -> None:
        if self._code is None:  # an error that nobody expected
            return
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError) as error:
            if not is_full(error):  # no reader, or closed: Python knows what to say
                return
            self._code = self._code or say_full()
        os._exit(self._code)


def is_full(error: Exception) -> bool:
    """Says whether an error is of a disk, or what else is written to, that has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def say_full() -> int:
    """Tells that what was printed has no room; returns the exit code."""
    print("error: there is no room for what is printed; make room where it goes", file=sys.stderr)
    return 2
