"""The peers, behind the interface of `layers_libraries.py`."""

import numpy as np
from layers_common import Absent, module, resident, several, wait_for_nothing


class Torch:
    """PyTorch as it stands: `torch.linalg` and its own derivatives."""

    name = "torch"

    def __init__(self, device="cpu", threads=1):
        self.xp = self.torch = module("torch")
        self.version = self.torch.__version__
        if device == "cuda" and not self.torch.cuda.is_available():
            raise Absent("PyTorch sees no GPU")
        self.device = device
        self.torch.set_num_threads(threads)
        self.wait = self.torch.cuda.synchronize if device == "cuda" else wait_for_nothing

    def put(self, x):
        return self.torch.asarray(x, device=self.device)

    def get(self, y):
        return [v.detach().cpu().numpy() for v in several(y)]

    def eye(self, x):
        return self.torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)

    def one_hot(self, labels, k, like):
        return self.torch.nn.functional.one_hot(labels, k).to(like.dtype)

    def relu(self, x):
        return self.torch.relu(x)

    def cross_entropy(self, scores, labels):
        return self.torch.nn.functional.cross_entropy(scores, labels)

    def function(self, f):
        """What is called in the place of ``f``."""
        return f

    def _of(self, case):
        return self.function(lambda *args: case.peer(self, *args))

    def forward(self, case, args):
        f = self._of(case)

        def call():
            with self.torch.no_grad():
                y = f(*args)
            self.wait()
            return y

        return call

    def both(self, case, args, bars):
        f, x, rest = self._of(case), args[0].requires_grad_(), args[1:]

        def call():
            y = several(f(x, *rest))
            (g,) = self.torch.autograd.grad(y, x, bars)
            self.wait()
            return y, g

        return call

    def memory(self, call):
        if self.device != "cuda":
            return resident(call)
        self.torch.cuda.empty_cache()
        self.torch.cuda.reset_peak_memory_stats()
        before = self.torch.cuda.memory_allocated()
        call()
        return self.torch.cuda.max_memory_allocated() - before


class TorchCompile(Torch):
    """PyTorch through `torch.compile`; compiled before the clock starts."""

    name = "torch.compile"

    def __init__(self, device="cpu", threads=1):
        import os
        import shutil

        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        super().__init__(device, threads)
        if device == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
            raise Absent("torch.compile needs a C++ compiler")

    def function(self, f):
        self.torch._dynamo.reset()  # or it recompiles for all sizes at once, after the second
        return self.torch.compile(f, dynamic=False)


class Jax:
    """JAX under `jax.jit`; compiled before the clock starts."""

    name = "jax"

    def __init__(self, device="cpu", threads=1):
        import os

        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the GPU is shared with the other libraries
        os.environ["JAX_PLATFORMS"] = "cuda" if device == "cuda" else "cpu"
        self.jax, self.xp = module("jax"), module("jax.numpy")
        self.version = self.jax.__version__
        self.jax.config.update("jax_enable_x64", True)
        try:
            self.jax.devices()
        except (RuntimeError, AssertionError):  # the second of a platform that was asked for and is not there
            raise Absent("JAX sees no GPU") from None
        self.device = device

    def put(self, x):
        return self.jax.block_until_ready(self.xp.asarray(x))

    def get(self, y):
        return [np.asarray(v) for v in several(y)]

    def eye(self, x):
        return self.xp.eye(x.shape[-1], dtype=x.dtype)

    def one_hot(self, labels, k, like):
        return self.jax.nn.one_hot(labels, k, dtype=like.dtype)

    def relu(self, x):
        return self.jax.nn.relu(x)

    def cross_entropy(self, scores, labels):
        chosen = self.xp.take_along_axis(self.jax.nn.log_softmax(scores), labels[:, None], axis=1)
        return -self.xp.mean(chosen)

    def forward(self, case, args):
        return self.compiled(lambda *args: case.peer(self, *args), *args)

    def compiled(self, f, *args):
        """``f(*args)`` under jit, as a function without arguments; its attribute ``memory`` is what XLA reserves."""
        f = self.jax.jit(f)

        def call():
            return self.jax.block_until_ready(f(*args))

        call.memory = lambda: f.lower(*args).compile().memory_analysis()
        return call

    def both(self, case, args, bars):
        bars = tuple(bars)

        def f(x, rest, bars):
            y, pullback = self.jax.vjp(lambda x: several(case.peer(self, x, *rest)), x)
            return y, pullback(bars)[0]

        return self.compiled(f, args[0], args[1:], bars)

    def memory(self, call):
        """By XLA's own account: its pools keep memory, and neither resident memory nor a peak tells of one call."""
        found = call.memory()
        return found.temp_size_in_bytes + found.output_size_in_bytes


class Autograd:
    """autograd, on NumPy."""

    name = "autograd"

    def __init__(self, device="cpu", threads=1):
        if device == "cuda":
            raise Absent("autograd has no GPU arrays")
        self.autograd, self.xp = module("autograd"), module("autograd.numpy")
        from importlib.metadata import version

        self.version = version("autograd")

    def put(self, x):
        return x

    def get(self, y):
        return [np.asarray(v) for v in several(y)]

    def eye(self, x):
        return np.eye(x.shape[-1], dtype=x.dtype)

    def one_hot(self, labels, k, like):
        return np.eye(k, dtype=like.dtype)[labels]

    def relu(self, x):
        return self.xp.maximum(x, 0.0)

    def cross_entropy(self, scores, labels):
        shifted = scores - self.xp.max(scores, axis=1, keepdims=True)
        chosen = shifted[np.arange(len(labels)), labels]
        return self.xp.mean(self.xp.log(self.xp.sum(self.xp.exp(shifted), axis=1)) - chosen)

    def forward(self, case, args):
        return lambda: case.peer(self, *args)

    def both(self, case, args, bars):
        from autograd.builtins import tuple as traced_tuple

        def f(*args):
            y = case.peer(self, *args)
            return traced_tuple(y) if isinstance(y, tuple) else y

        vjp = self.autograd.make_vjp(f)

        def call():
            pullback, y = vjp(*args)
            return y, pullback(tuple(bars) if isinstance(y, tuple) else bars[0])

        return call

    def memory(self, call):
        return resident(call)
