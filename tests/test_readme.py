"""The README: its code runs, its links lead somewhere. That its table has every op, `test_registry` checks."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_code_runs(capsys):
    scope = {}
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M):
        exec(compile(block, "README.md", "exec"), scope)
    assert np.array2string(scope["g"]) in capsys.readouterr().out  # "g itself, exactly"
    assert scope["gradient"]["weight"].shape == (3, 8)
    assert scope["hessian_product"][0]["weight"].shape == (3, 8)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_links(target):
    assert (ROOT / target).exists()
