"""The libraries that arrmb is compared with: the few functions that the losses use, and gradients, for NumPy arrays.

``direct`` holds functions of matrices that a library has without going through eigenvalues, by the name of the row.
"""

import numpy as np


class Torch:
    """PyTorch."""

    name = "PyTorch"

    def __init__(self):
        import torch

        self.torch = torch
        self.log, self.sqrt, self.exp, self.tanh = torch.log, torch.sqrt, torch.exp, torch.tanh
        self.eigh, self.version = torch.linalg.eigh, torch.__version__.partition("+")[0]
        self.direct = {"expmh(x)": ("torch.linalg.matrix_exp", torch.linalg.matrix_exp)}

    def eye(self, n, like):
        return self.torch.eye(n, dtype=like.dtype)

    def svd(self, x):
        return self.torch.linalg.svd(x, full_matrices=False)

    def gradient(self, loss, x, g):
        x = self.torch.tensor(x, requires_grad=True)
        loss(self, x, self.torch.tensor(g)).backward()
        return x.grad.numpy()

    def hessian_product(self, loss, x, g, e):
        x, g, e = (self.torch.tensor(v) for v in (x, g, e))
        return self.torch.autograd.functional.hvp(lambda x: loss(self, x, g), x, e)[1].numpy()


class Jax:
    """JAX, in double precision where the input is."""

    name = "JAX"

    def __init__(self):
        import jax

        jax.config.update("jax_enable_x64", True)
        import jax.scipy.linalg

        self.jax, self.numpy, self.version = jax, jax.numpy, jax.__version__
        self.log, self.sqrt, self.exp, self.tanh = (getattr(jax.numpy, f) for f in ("log", "sqrt", "exp", "tanh"))
        self.eigh = jax.numpy.linalg.eigh
        self.direct = {"expmh(x)": ("jax.scipy.linalg.expm", jax.scipy.linalg.expm)}
        self._compiled = {}

    def eye(self, n, like):
        return self.numpy.eye(n, dtype=like.dtype)

    def svd(self, x):
        return self.numpy.linalg.svd(x, full_matrices=False)

    def gradient(self, loss, x, g):
        if loss not in self._compiled:
            self._compiled[loss] = self.jax.jit(self.jax.grad(lambda x, g: loss(self, x, g)))
        return np.asarray(self._compiled[loss](x, g))

    def hessian_product(self, loss, x, g, e):
        if (loss, 2) not in self._compiled:
            gradient = self.jax.grad(lambda x, g: loss(self, x, g))
            self._compiled[loss, 2] = self.jax.jit(
                lambda x, g, e: self.jax.jvp(lambda x: gradient(x, g), (x,), (e,))[1]
            )
        return np.asarray(self._compiled[loss, 2](x, g, e))


class Autograd:
    """HIPS autograd."""

    name = "autograd"

    def __init__(self):
        import importlib.metadata

        import autograd
        import autograd.numpy as anp

        self.autograd, self.numpy, self.version = autograd, anp, importlib.metadata.version("autograd")
        self.log, self.sqrt, self.exp, self.tanh = anp.log, anp.sqrt, anp.exp, anp.tanh
        self.eigh = anp.linalg.eigh
        try:  # needs SciPy
            from autograd.scipy.linalg import sqrtm

            self.direct = {"sqrtmh(x)": ("autograd.scipy.linalg.sqrtm", sqrtm)}
        except ImportError:
            self.direct = {}

    def eye(self, n, like):
        return np.eye(n, dtype=like.dtype)

    def svd(self, x):
        return self.numpy.linalg.svd(x, full_matrices=False)

    def gradient(self, loss, x, g):
        return self.autograd.grad(lambda v: loss(self, v, g))(x)

    def hessian_product(self, loss, x, g, e):
        return self.autograd.hessian_vector_product(lambda v: loss(self, v, g))(x, e)


def installed():
    """One of each that can be imported."""
    found = []
    for peer in (Torch, Jax, Autograd):
        try:
            found.append(peer())
        except ImportError:
            continue
    return found


def eigh_function(f):
    """The loss ``<g, V f(w) V^T>`` as a peer has to write it."""

    def loss(lib, x, g):
        w, v = lib.eigh(x)
        return (g * ((v * f(lib, w)) @ v.T)).sum()

    return loss


def pooling(lib, x, g):
    """``<g, log(x^T x + 1e-3 I)>``."""
    return log(lib, x.T @ x + 1e-3 * lib.eye(x.shape[1], x), g)


def projector(k):
    """``<g, V_k V_k^T>``, V_k the eigenvectors of the k largest eigenvalues."""

    def loss(lib, x, g):
        _, v = lib.eigh(x)
        v = v[:, x.shape[0] - k :]
        return (g * (v @ v.T)).sum()

    return loss


def svd_function(f):
    """``<g, U f(S) V^T>``."""

    def loss(lib, x, g):
        u, s, vh = lib.svd(x)
        return (g * ((u * f(s)) @ vh)).sum()

    return loss


log = eigh_function(lambda lib, w: lib.log(w))


def direct(f):
    """``<g, f(x)>`` for a function that a peer has."""
    return lambda lib, x, g: (g * f(x)).sum()
