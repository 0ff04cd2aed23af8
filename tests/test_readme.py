"""The README: its code runs, its links lead somewhere, and its table has every op."""

import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import arrmb
import arrmb.ops

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


def test_every_op_is_in_the_table():
    rows = [line for line in TEXT.splitlines() if "arrmb/ops/" in line]
    for module in pkgutil.iter_modules(arrmb.ops.__path__):
        for value in vars(importlib.import_module(f"arrmb.ops.{module.name}")).values():
            assert not isinstance(value, arrmb.Op) or any(f"`{value.name}`" in row for row in rows), value


def test_every_op_file_has_a_test_and_states_source_or_domain():
    for module in pkgutil.iter_modules(arrmb.ops.__path__):
        imported = importlib.import_module(f"arrmb.ops.{module.name}")
        if not any(isinstance(v, arrmb.Op) for v in vars(imported).values()):
            continue
        assert (ROOT / "tests" / "ops" / f"test_{module.name}.py").exists(), module.name
        assert "Domain:" in imported.__doc__, module.name
