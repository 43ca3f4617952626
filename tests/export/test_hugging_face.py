"""The client of the Hub: what it is asked, and what becomes of its errors."""

import pytest

from vertebra.errors import CheckpointError, MissingExtra
from vertebra.export import hugging_face
from vertebra.export.hugging_face import HuggingFace

pytest.importorskip("huggingface_hub")


class Api:
    """Stands for `HfApi`: notes what it is asked, and fails where told."""

    endpoint = "https://hub.example"

    def __init__(self, error=None):
        self.calls = []
        self.error = error

    def note(self, *call):
        self.calls.append(call)
        if self.error:
            raise self.error

    def create_repo(self, repository, *, private):
        self.note("create", repository, private)

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        self.note("upload", repo_id, folder_path)

    def hf_hub_download(self, repository, name, *, local_dir):
        self.note("download", repository, name, local_dir)
        return str(local_dir / name)


def hub_with(monkeypatch, error=None):
    api = Api(error)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)
    return HuggingFace(), api


def refusal(status):
    """Returns the error of a client whose server answered so."""
    error = RuntimeError("long\ntext")
    error.response = type("Response", (), {"status_code": status})
    return error


def test_the_client_is_asked_for_what_was_meant(monkeypatch, tmp_path):
    hub, api = hub_with(monkeypatch)
    hub.create("ada/x", private=True)
    assert hub.upload("ada/x", tmp_path) == "https://hub.example/ada/x"
    assert hub.download("ada/x", "recipe.json", tmp_path) == tmp_path / "recipe.json"
    assert api.calls == [
        ("create", "ada/x", True),
        ("upload", "ada/x", tmp_path),
        ("download", "ada/x", "recipe.json", tmp_path),
    ]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "was not created: the Hub does not know you"),
        (403, "use a token with the right to write"),
        (404, "no such repository"),
        (409, "add to it with --update"),
        (500, "was not created: text"),
    ],
)
def test_a_refusal_is_one_sentence_that_says_what_to_do(monkeypatch, status, told):
    hub, _ = hub_with(monkeypatch, refusal(status))
    with pytest.raises(CheckpointError, match=f"ada/x .*{told}"):
        hub.create("ada/x", private=False)


def test_a_missing_token_is_told(monkeypatch):
    from huggingface_hub.errors import LocalTokenNotFoundError

    hub, _ = hub_with(monkeypatch, LocalTokenNotFoundError("none"))
    with pytest.raises(CheckpointError, match="no token; log in with `hf auth login`"):
        hub.create("ada/x", private=False)


def test_without_a_network_it_says_so_at_once(tmp_path):
    with pytest.raises(CheckpointError, match=r"ada/x was not read: .*[Cc]onnection"):
        HuggingFace().download("ada/x", "recipe.json", tmp_path)


def test_without_the_client_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(hugging_face, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install vertebra\[hub\]"):
        HuggingFace()
