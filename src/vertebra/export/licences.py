"""The licences that a published model can name, as the Hugging Face Hub spells them."""

from vertebra.errors import NameLookupError
from vertebra.lookup import suggest

LICENCES = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "mpl-2.0",
    "lgpl-3.0",
    "gpl-3.0",
    "agpl-3.0",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0",
    "cdla-permissive-2.0",
    "openrail",
    "unlicense",
    "other",
)
"""The common ones; `other` stands for every one that is not here."""


def require_licence(licence: str | None) -> str:
    """Returns the licence; there is no default, for only the owner of a model can choose one.

    Raises:
        NameLookupError: none is given, or it is not listed; the message lists them or the nearest.
    """
    if licence is None:
        raise NameLookupError(
            f"a model is published under a licence that you choose; "
            f"give --licence with one of {', '.join(LICENCES)}"
        )
    if licence not in LICENCES:
        raise NameLookupError(
            f"unknown licence {licence!r}; {suggest(licence, LICENCES)} "
            f"(`other` stands for one that is not listed)"
        )
    return licence
