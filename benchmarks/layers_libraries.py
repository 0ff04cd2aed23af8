"""The libraries that are timed, behind one interface.

``put`` and ``get`` move arrays; ``forward`` and ``both`` make functions without arguments of a case, which return when
the results are there, on a GPU as well. ``both`` returns outputs and gradient. A library that cannot take part says why
when it is made, by `Absent`; a case that it cannot do raises `Absent` too.

On a GPU, clocks stop after the device has been waited for: CuPy by `Stream.null.synchronize`, PyTorch by
`torch.cuda.synchronize`, JAX by `block_until_ready`. NumPy arrays become device arrays before the clock starts.
"""

import numpy as np
from layers_common import Absent, module, resident, several, wait_for_nothing
from layers_peers import Autograd, Jax, Torch, TorchCompile

import arrmb


class Arrays:
    """The arrays that arrmb and the floor work on: NumPy's, PyTorch's, or CuPy's."""

    def __init__(self, backend="numpy", device="cpu", threads=1):
        self.backend = backend
        self.wait = wait_for_nothing
        if backend == "numpy":
            self.put, self.version = np.asarray, f"NumPy {np.__version__}"
        elif backend == "cupy":
            cupy = module("cupy")
            try:
                cupy.zeros(1)
            except Exception as error:  # CuPy has its own error types for a missing GPU or driver
                raise Absent(f"CuPy finds no GPU ({type(error).__name__})") from None
            self.put, self.wait, self.cupy = cupy.asarray, cupy.cuda.Stream.null.synchronize, cupy
            self.version = f"CuPy {cupy.__version__}"
        else:
            self.torch = Torch(device, threads)
            self.put, self.wait, self.version = self.torch.put, self.torch.wait, f"torch {self.torch.version}"

    def get(self, y):
        return [arrmb._lapack.to_host(v) for v in several(y)]

    def memory(self, call):
        if self.backend == "numpy":
            return resident(call)
        if self.backend != "cupy":
            return self.torch.memory(call)
        pool = self.cupy.get_default_memory_pool()
        self.wait()
        pool.free_all_blocks()
        before = pool.total_bytes()
        call()
        return pool.total_bytes() - before  # the pool gives nothing back by itself: it holds what was needed at once


class Arrmb(Arrays):
    """arrmb."""

    name = "arrmb"

    def __init__(self, *args):
        super().__init__(*args)
        self.version = f"{arrmb.__version__} on {self.version}"

    def forward(self, case, args):
        def call():
            y = case.ours(*args)
            self.wait()
            return y

        return call

    def both(self, case, args, bars):
        x, rest = args[0], args[1:]

        def call():
            y, pullback = arrmb.vjp(lambda x: case.ours(x, *rest), x)
            (g,) = pullback(tuple(bars) if isinstance(y, tuple) else bars[0])
            self.wait()
            return y, g

        return call


class Floor(Arrays):
    """The bare calls of the backend, `layers_floors.py`."""

    name = "floor"

    def forward(self, case, args):
        def call():
            y, _ = case.floor(*args)
            self.wait()
            return y

        return call

    def both(self, case, args, bars):
        def call():
            y, backward = case.floor(*args)
            g = backward(*bars)
            self.wait()
            return y, g

        return call


LIBRARIES = {lib.name: lib for lib in (Arrmb, Floor, Torch, TorchCompile, Jax, Autograd)}


def make(name, backend, device, threads):
    kind = LIBRARIES[name]
    return kind(backend, device, threads) if issubclass(kind, Arrays) else kind(device, threads)
