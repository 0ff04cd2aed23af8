"""The backends that can be tested here, and random inputs."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Backend:
    """A backend under test: its name, its Array API namespace, and the device to use (None: its default)."""

    name: str
    xp: object
    device: object = None

    def put(self, x, dtype):
        """The NumPy array ``x`` as an array of this backend, in the precision of ``dtype`` (complex stays complex)."""
        x = np.asarray(x)
        if x.dtype.kind in "fc":
            bits = np.dtype(dtype).itemsize * (1 if np.dtype(dtype).kind == "f" else 0.5) * 8
            x = x.astype(f"complex{int(2 * bits)}" if x.dtype.kind == "c" else f"float{int(bits)}")
        return self.xp.asarray(x.copy(), device=self.device)

    def get(self, x):
        """An array of this backend as a NumPy array."""
        if self.name == "cupy":
            return x.get()
        if self.name == "torch":
            return x.detach().cpu().resolve_conj().numpy()
        if self.name == "strict":
            return np.from_dlpack(self.xp.asarray(x, copy=True).to_device(self.xp.Device("CPU_DEVICE")))
        return np.asarray(x)


def backends():
    """The backends that can be used here: NumPy, array-api-strict on its second device, PyTorch, CuPy with a GPU."""
    found = []
    for name in ("numpy", "array_api_strict", "torch", "cupy"):
        try:
            if name == "array_api_strict":
                import array_api_strict as xp

                # Moving an array between its devices takes NumPy 2: with NumPy 1, all stays on the first.
                second = xp.Device("device1") if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else None
                found.append(Backend("strict", xp, second))
                continue
            xp = __import__(f"array_api_compat.{name}", fromlist=[name])
            xp.asarray(np.zeros(1)) if name == "torch" else xp.zeros(1)
            found.append(Backend(name, xp))
        except Exception:  # not installed, or no GPU: CuPy raises its own error types
            continue
    return found


class Draw:
    """Random test inputs: NumPy arrays with leading batch axes, real or complex."""

    def __init__(self, seed=0, complex=False, batch=()):
        self.rng = np.random.default_rng(seed)
        self.complex = complex
        self.batch = batch

    def normal(self, *shape):
        """Standard normal entries."""
        x = self.rng.standard_normal(self.batch + shape)
        return x + 1j * self.rng.standard_normal(self.batch + shape) if self.complex else x

    def real(self, *shape):
        """Standard normal real entries, for complex tests too."""
        return self.rng.standard_normal(self.batch + shape)

    def uniform(self, low, high, *shape):
        """Real entries between two bounds."""
        return self.rng.uniform(low, high, self.batch + shape)

    def unitary(self, n):
        """Orthogonal or unitary matrices."""
        return np.linalg.qr(self.normal(n, n))[0]

    def hermitian(self, spectrum):
        """Symmetric or Hermitian matrices with the given eigenvalues."""
        v = self.unitary(len(spectrum))
        x = (v * np.asarray(spectrum, dtype=float)) @ np.conj(np.swapaxes(v, -1, -2))
        return 0.5 * (x + np.conj(np.swapaxes(x, -1, -2)))

    def with_singular_values(self, m, n, values):
        """Matrices m × n with the given singular values."""
        k = len(values)
        v = np.conj(np.swapaxes(self.unitary(n), -1, -2))
        return (self.unitary(m)[..., :, :k] * np.asarray(values, dtype=float)) @ v[..., :k, :]
