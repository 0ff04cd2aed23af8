"""arrmb's functions and layers as functions and links of Chainer.

    from arrmb.plugins.chainer import SecondOrderPooling, linalg

    y = linalg.logmh(x)  # Variables; y.backward() is exact where eigenvalues are equal as well

`linalg`, `layers` and `fft` have arrmb's functions, for Variables and for NumPy or CuPy arrays; `function` makes one of
any function that is written with arrmb, and `Link` makes a link of any tree of arrays, such as arrmb's layers.
"""

import importlib.util as _util

from .._mirror import mirror as _mirror

if _util.find_spec("chainer") is None:
    raise ImportError(
        "arrmb.plugins.chainer: Chainer is not installed: pip install 'setuptools<81' wheel, then "
        "pip install --no-build-isolation chainer==7.8.1"
    )
try:
    import chainer as _chainer
except Exception as _error:
    raise ImportError(
        f"arrmb.plugins.chainer: Chainer cannot be imported here ({type(_error).__name__}: {_error}). With NumPy 2, "
        "Python 3.12 or setuptools 81, first: from arrmb.plugins import chainer_compat; chainer_compat.install()"
    ) from _error
if int(_chainer.__version__.partition(".")[0]) < 7:
    raise ImportError(
        f"arrmb.plugins.chainer: Chainer 7 is needed, got {_chainer.__version__}: pip install 'arrmb[chainer]'"
    )

from .links import Link, NormalizedCutsLoss, SecondOrderPooling
from .node import function

linalg, layers, fft = _mirror(__name__, function)

__all__ = ["Link", "NormalizedCutsLoss", "SecondOrderPooling", "fft", "function", "layers", "linalg"]
