"""Nobody waits for torch's compiler, or gives it memory, who does not ask for it."""

import subprocess
import sys
from pathlib import Path

PARTS = ("torch._dynamo", "torch._inductor", "sympy", "triton", "torchvision")


def test_to_train_and_to_judge_imports_none_of_it(tmp_path: Path):
    code = f"""
import sys
from vertebra.cli.main import command

run = {str(tmp_path / "run")!r}
assert command(["train", "--epochs", "0.1", "--out", run]) == 0
assert command(["evaluate", run]) == 0
assert command(["plan"]) == 0
print([each for each in {PARTS!r} if each in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
