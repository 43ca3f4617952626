"""How the process of a command ends: at once, after all that is to be done at the end.

Python takes apart what was imported before it ends. That does nothing for anybody, but takes a
second and 118 MB once torch and torchvision are there.
"""

import atexit
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
        except (OSError, ValueError):  # no reader, a full disk, closed: Python knows what to say
            return
        os._exit(self._code)
