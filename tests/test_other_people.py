"""Functions of SciPy, scikit-learn and array-api-extra, differentiated as they stand: `docs/other_people.md`.

They run in one process of their own (`other_people.py`), so that SCIPY_ARRAY_API does not reach the other tests.
"""

import functools
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from other_people import RAISES, WORKS, entries

import arrmb

HERE = pathlib.Path(__file__).parent
# The versions of the table. Others may do more, or raise in other words: there nothing must be wrong in silence.
NEEDS = {
    "scipy": ("scipy", (1, 17)),
    "sklearn": ("scikit-learn", (1, 9)),
    "array_api_extra": ("array-api-extra", (0, 11)),
}
BACKENDS = {"numpy": "numpy", "strict": "array_api_strict", "torch": "torch"}


@functools.cache
def report():
    here = str(pathlib.Path(arrmb.__file__).parents[1])  # the process is to import this arrmb
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    run = subprocess.run([sys.executable, HERE / "other_people.py"], capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def found(expression, backend):
    name, least = NEEDS[re.match(r"\(?(\w+)", expression)[1]]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    version = tuple(map(int, version.split(".")[:2]))
    if version < least:
        pytest.skip(f"{name} is older than {least[0]}.{least[1]}")
    if importlib.util.find_spec(BACKENDS[backend]) is None:
        pytest.skip(f"{BACKENDS[backend]} is not installed")
    entry = report()[expression]
    assert "missing" not in entry, entry
    # From Python 3.12 on, array-api-strict refuses conversions to NumPy that it made before.
    as_listed = version == least and (backend != "strict" or sys.version_info < (3, 12))
    return entry[backend], as_listed


def assert_right(entry):
    """To the accuracy of central differences with a step of 1e-5, and of one direction against the other."""
    assert "error" not in entry, entry
    assert entry["value"] < 1e-10 and entry["gradient"] < 1e-6 and entry["jvp"] < 1e-12, entry


def assert_right_or_raises(entry):
    if "error" not in entry and entry["gradient"] < float("inf"):
        assert_right(entry)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("expression, note", [entry[1:] for entry in entries(WORKS)])
def test_works(expression, note, backend):
    entry, as_listed = found(expression, backend)
    if not as_listed:
        assert_right_or_raises(entry)
    elif f"not {backend}" in note or ("strict only" in note and backend != "strict"):
        assert "error" in entry, "it works now: a better note is due"
    else:
        assert_right(entry)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("expression, pattern", [entry[1:] for entry in entries(RAISES)])
def test_says_so(expression, pattern, backend):
    """An error, or NaN: never a finite gradient that is wrong."""
    entry, as_listed = found(expression, backend)
    if not as_listed:
        assert_right_or_raises(entry)
    elif pattern == "NaN":
        assert not entry["gradient"] < float("inf"), entry
    else:
        assert re.search(pattern, entry.get("error", "")), entry


def test_the_page_lists_all():
    page = (HERE.parent / "docs" / "other_people.md").read_text()
    for _, expression, _ in (*entries(WORKS), *entries(RAISES)):
        assert f"`{expression}`" in page, expression


def test_raw_constants_can_be_lifted():
    """What the page advises: constants through the namespace of x."""

    def f(x):
        c = arrmb.namespace(x).asarray([1.0, 2.0])
        assert arrmb._xp.is_traced(c)
        return arrmb.namespace(x).sum(c * x)

    import numpy as np

    np.testing.assert_array_equal(arrmb.grad(f)(np.ones(2)), [1.0, 2.0])
