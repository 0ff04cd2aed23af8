"""arrmb's functions and layers as differentiable functions of PyTorch tensors, and as modules."""

try:
    import torch as _torch
except ImportError as error:
    raise ImportError("arrmb.plugins.torch: needs PyTorch: pip install 'arrmb[torch]'") from error

_OLDEST = (2, 4)

if tuple(int(part) for part in _torch.__version__.split(".")[:2]) < _OLDEST:
    raise ImportError(
        f"arrmb.plugins.torch: needs PyTorch {_OLDEST[0]}.{_OLDEST[1]} or newer, found {_torch.__version__}: "
        "pip install 'arrmb[torch]'"
    )

from .._mirror import mirror as _mirror  # noqa: E402
from ._function import function  # noqa: E402
from ._modules import Module, NormalizedCutsLoss, SecondOrderPooling  # noqa: E402

linalg, layers, fft = _mirror(__name__, function)
for _module in (linalg, layers, fft):  # so that `import arrmb.plugins.torch.linalg` works, and a pickle finds them
    import sys as _sys

    _sys.modules[_module.__name__] = _module

__all__ = ["Module", "NormalizedCutsLoss", "SecondOrderPooling", "fft", "function", "layers", "linalg"]
