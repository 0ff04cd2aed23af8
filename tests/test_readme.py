"""The README: its code runs, its links lead somewhere. That its table has every op, `test_registry` checks."""

import re
from pathlib import Path

import numpy as np
import pytest
from chainer_here import import_chainer

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_code_runs(capsys):
    scope = {}
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M):
        framework = re.search(r"^from arrmb\.plugins\.(\w+) import", block, re.M)
        if framework is None:
            exec(compile(block, "README.md", "exec"), scope)
    assert np.array2string(scope["g"]) in capsys.readouterr().out  # "g itself, exactly"
    assert scope["gradient"]["weight"].shape == (3, 8)
    assert scope["hessian_product"][0]["weight"].shape == (3, 8)


@pytest.mark.parametrize("framework", ["chainer", "torch", "jax"])
def test_plug_ins(framework, capsys):
    """Each by itself: NaN where it says so, and the gradient that it says."""
    import_chainer() if framework == "chainer" else pytest.importorskip(framework)
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M)
    (block,) = [b for b in blocks if f"from arrmb.plugins.{framework} import" in b]
    exec(compile(block, "README.md", "exec"), {"np": np})
    printed = capsys.readouterr().out
    assert "1." in printed and (framework == "chainer" or "nan" in printed)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_links(target):
    assert (ROOT / target).exists()
