"""The arrays that an example runs on."""

import sys

import numpy as np

import arrmb


def array_namespace(backend):
    """NumPy, or CuPy if there is one and a GPU to go with it."""
    if backend == "numpy":
        return arrmb.namespace(np.zeros(1))
    try:
        import cupy

        return arrmb.namespace(cupy.zeros(1))
    except Exception as error:  # CuPy has its own error types for a missing GPU or driver
        sys.exit(f"--backend cupy needs CuPy and a GPU: {type(error).__name__}: {str(error).splitlines()[0]}")


def to_numpy(x):
    return x.get() if hasattr(x, "get") else np.asarray(x)
