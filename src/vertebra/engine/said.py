"""What several processes of a group have to say alike is said by one of them.

A bad setting or a loss that is no number stops all of them at once, each with the same sentence.
"""

import hashlib
import os
from pathlib import Path

FOLDER = "VERTEBRA_SAID"
"""Environment variable: an empty folder for the processes of a group, who started them removes."""


def is_first_to_say(sentence: str) -> bool:
    """Says whether no other process of the group has asked so of this sentence; alone, always."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return True
    name = hashlib.sha256(sentence.encode(errors="backslashreplace")).hexdigest()
    try:
        Path(folder, name).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # rather twice than never
        return True
    return True
