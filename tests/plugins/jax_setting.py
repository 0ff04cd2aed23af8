"""What the tests of the JAX plug-in share."""

import contextlib
import os

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")

# XLA's former code generator compiles in two thirds of the time (`benchmarks/plugin_checks.py jax` takes XLA as it is).
# It has to be chosen before the first array is made, and an XLA that does not know the option ends the process.
if jax.__version_info__[:2] == (0, 10):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")


@contextlib.contextmanager
def setting(**options):
    """JAX's options, put back at the end: other tests of this process have their own."""
    before = {name: jax.config.values[name] for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@pytest.fixture(autouse=True)
def double_precision():
    """Double precision, and programs that are compiled fast."""
    with setting(jax_enable_x64=True, jax_disable_most_optimizations=True):
        yield


def close(got, want, tolerance=1e-12, least=0.0):
    """Assert that two trees of arrays agree, relative to the largest entry."""
    got, want = jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(want)
    assert len(got) == len(want)
    for a, b in zip(got, want):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        size = max(float(np.max(np.abs(b), initial=0.0)), least)
        error = float(np.max(np.abs(a - b), initial=0.0))
        assert error <= tolerance * size, f"{error:.3e} beside {size:.3e}"  # NaN fails
