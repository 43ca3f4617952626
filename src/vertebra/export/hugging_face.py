"""The Hugging Face Hub through its own client, which knows tokens, proxies and mirrors."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from vertebra.errors import CheckpointError, MissingExtra


class HuggingFace:
    """The Hub, as `hub.Hub` asks it.

    Raises:
        MissingExtra: huggingface_hub is not installed.
    """

    def __init__(self) -> None:
        if find_spec("huggingface_hub") is None:
            raise MissingExtra(
                "huggingface_hub is not installed; bring it with `pip install vertebra[hub]`"
            )
        from huggingface_hub import HfApi

        self._api = HfApi()

    def create(self, repository: str, *, private: bool) -> None:
        """Makes a new, empty model repository.

        Raises:
            CheckpointError: it exists, or the Hub cannot be reached or refuses.
        """
        with _explained(repository, "created"):
            self._api.create_repo(repository, private=private)

    def upload(self, repository: str, folder: Path) -> str:
        """Adds the files of `folder` in one commit; returns the repository's address.

        Raises:
            CheckpointError: the Hub cannot be reached or refuses.
        """
        with _explained(repository, "written"):
            self._api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message="Publish a run of Vertebra"
            )
        return f"{self._api.endpoint}/{repository}"

    def download(self, repository: str, name: str, folder: Path) -> Path:
        """Fetches one file into `folder` and returns where it is.

        Raises:
            CheckpointError: there is no such file, or the Hub cannot be reached or refuses.
        """
        with _explained(repository, "read"):
            return Path(self._api.hf_hub_download(repository, name, local_dir=folder))


@contextmanager
def _explained(repository: str, done: str) -> Generator[None]:
    """Turns what the client raises into one sentence."""
    from huggingface_hub import errors

    try:
        yield
    except errors.LocalTokenNotFoundError as error:
        raise CheckpointError(
            f"{repository} was not {done}: no token; log in with `hf auth login`"
        ) from error
    except Exception as error:  # the client's, and those of the network libraries below it
        told = str(error).strip().splitlines()[-1:]
        status = getattr(getattr(error, "response", None), "status_code", None)
        advice = _ADVICE.get(status, " ".join(told)) if status else " ".join(told)
        raise CheckpointError(f"{repository} was not {done}: {advice}") from error


_ADVICE = {
    401: "the Hub does not know you; log in with `hf auth login`",
    403: "you may not do so there; use a token with the right to write",
    404: "there is no such repository or file, or it is private and you are not logged in",
    409: "it exists already; choose another name, or add to it with --update",
}
"""HTTP status -> what it means to the one who asked."""
