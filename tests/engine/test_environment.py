import subprocess

import pytest
import torch

from vertebra.engine import environment
from vertebra.engine.environment import describe, device_name
from vertebra.engine.memory import peak_memory_mb

CPU = torch.device("cpu")


def test_it_says_what_may_change_a_number():
    found = describe(CPU, processes=2)
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["processes"] == 2
    assert found["device"] == device_name(CPU)
    assert found == describe(CPU, processes=2)


def test_the_revision_is_that_of_a_checkout_of_ours(tmp_path, monkeypatch):
    place = tmp_path / "src" / "vertebra" / "engine" / "environment.py"
    place.parent.mkdir(parents=True)
    place.touch()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(environment, "__file__", str(place))
    commit = describe(CPU)["code_revision"]
    assert len(commit) >= 12
    place.write_text("changed")
    assert describe(CPU)["code_revision"] == commit + "+"


def test_an_installed_package_has_no_revision_even_inside_a_checkout(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    place = tmp_path / "lib" / "python3" / "site-packages" / "vertebra" / "engine"
    place.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(place / "environment.py"))
    assert describe(CPU)["code_revision"] is None


def test_without_git_there_is_no_revision(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    monkeypatch.setenv("PATH", "")
    assert describe(CPU)["code_revision"] is None


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory_mb(CPU)
    held = torch.ones(64, 2**18)  # 64 MiB
    grown = peak_memory_mb(CPU)
    assert 10 < before <= grown < before + 200
    del held
    assert peak_memory_mb(CPU) >= grown


@pytest.mark.gpu
def test_memory_of_a_device_is_what_was_allocated_there():
    device = torch.device("cuda", 0)
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.ones(64, 2**18, device=device)
    assert peak_memory_mb(device) >= 64
    del held
