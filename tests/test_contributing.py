"""The worked example of CONTRIBUTING.md, run as it stands there."""

import re
import textwrap
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```", TEXT, re.S | re.M)]


def test_worked_example(check):
    scope = {"__name__": "worked_example"}
    for block in BLOCKS:
        exec(compile(block, "CONTRIBUTING.md", "exec"), scope)
    scope["test_cayley"](check)


def test_a_sign_error_in_it_would_be_found(check):
    scope = {"__name__": "worked_example"}
    exec(compile(BLOCKS[0].replace("return -(H(i + y)", "return (H(i + y)"), "CONTRIBUTING.md", "exec"), scope)
    exec(compile(BLOCKS[1], "CONTRIBUTING.md", "exec"), scope)
    with pytest.raises(AssertionError, match="adjoint identity violated"):
        scope["test_cayley"](check)
