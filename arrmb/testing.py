"""Checks for people who write an op or a layer: `check_op` and `check_grads`.

The main check is the adjoint identity, ``Re<ybar, variation(dx)> = Re<adjoint(ybar), dx>``: it holds to rounding error, so
it finds a wrong adjoint without any finite difference. Only the variation is compared with differences of the forward
function. Every failure raises an AssertionError that names the op, the backend, the dtype, the property and the figure.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from . import transforms, tree
from ._xp import device as device_of, is_complex, namespace


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
            return np.from_dlpack(x.to_device(self.xp.Device("CPU_DEVICE")))
        return np.asarray(x)


def backends():
    """The backends that can be imported here: NumPy, array-api-strict on its second device, PyTorch, CuPy with a GPU."""
    found = []
    for name in ("numpy", "array_api_strict", "torch", "cupy"):
        try:
            if name == "array_api_strict":
                import array_api_strict as xp

                found.append(Backend("strict", xp, xp.Device("device1")))
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


# tolerances relative to the norms involved: rounding for identities, truncation for finite differences
_IDENTITY = {"float64": 1e-12, "float32": 2e-5}
_VALUE = {"float64": 1e-10, "float32": 2e-4}
_DIFFERENCE = 1e-7
_STEP = 2e-3


def check_op(
    op,
    inputs,
    *,
    backend=None,
    dtype="float64",
    params=None,
    reference=None,
    invariant=None,
    at=(),
    batch=True,
    order=2,
    loss=1.0,
):
    """Check an op on one backend and one dtype.

    Parameters
    ----------
    op : Op
    inputs : callable
        ``inputs(draw) -> tuple`` of NumPy arrays, made with a `Draw`.
    backend : Backend, optional
        Default: NumPy.
    dtype : {"float64", "float32", "complex128", "complex64"}
    params : dict, optional
        Static parameters of the op.
    reference : callable, optional
        The same function on NumPy arrays, by other means.
    invariant : callable, optional
        Maps the op's outputs to what does not depend on their free choices (signs of eigenvectors, say); a function of
        arrays of any backend that returns a tuple. Values and differences are compared after it.
    at : sequence of callables
        More inputs, made like ``inputs``, at which all is checked too: ties, near ties, rank deficiency.
    batch : bool
        Whether leading axes are batch axes.
    order : int
        Highest order of derivative to check, 1 or 2.
    loss : float
        Factor by which ill-conditioning of the inputs widens every tolerance.

    Returns
    -------
    float
        The largest relative violation of the adjoint identity found.

    Raises
    ------
    AssertionError
    """
    backend = backend or backends()[0]
    case = _Case(op, params or {}, backend, dtype, invariant or _as_tuple, loss)
    worst = 0.0
    for seed, make in enumerate((inputs, *at)):
        worst = max(worst, _check_point(case, make(Draw(seed, case.complex)), reference, order))
    if batch:
        _check_batch(case, inputs)
    return worst


def _as_tuple(*ys):
    return ys


class _Case:
    """One op on one backend and dtype, with what the checks share."""

    def __init__(self, op, params, backend, dtype, invariant, loss):
        self.op, self.params, self.backend, self.dtype, self.invariant, self.loss = op, params, backend, dtype, invariant, loss
        self.complex = np.dtype(dtype).kind == "c"
        self.precision = "float64" if dtype in ("float64", "complex128") else "float32"

    def f(self, *xs):
        """The op, outputs as a tuple."""
        y = self.op(*xs, **self.params)
        return y if type(y) is tuple else (y,)

    def g(self, *xs):
        """The op followed by the invariant."""
        return tuple(self.invariant(*self.f(*xs)))

    def put(self, arrays):
        return tuple(self.backend.put(x, self.dtype) for x in arrays)

    def get(self, arrays):
        return [self.backend.get(x) for x in arrays]

    def close(self, what, a, b, tolerance):
        a, b = [np.asarray(v) for v in a], [np.asarray(v) for v in b]
        for i, (u, v) in enumerate(zip(a, b)):
            if u.shape != v.shape:
                self.fail(f"{what}: shapes {u.shape} and {v.shape} at {i}")
        error, scale = _norm([u - v for u, v in zip(a, b)]), max(_norm(a), _norm(b), 1e-300)
        if not error <= tolerance * self.loss * scale:
            self.fail(f"{what}: relative difference {error / scale:.2e}, allowed {tolerance * self.loss:.1e}")

    def fail(self, message):
        raise AssertionError(f"op {self.op.name!r} on {self.backend.name}, {self.dtype}: {message}")


def _norm(arrays):
    return float(np.sqrt(sum(np.sum(np.abs(np.asarray(v, dtype=complex)) ** 2) for v in arrays)))


def _inner(a, b):
    return float(sum(np.sum(np.real(np.conj(u) * v)) for u, v in zip(a, b)))


def _random_like(arrays, seed):
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal(x.shape) + (1j * rng.standard_normal(x.shape) if np.iscomplexobj(x) else 0.0) for x in arrays
    ]


def _check_point(case, x, reference, order):
    xs, before = case.put(x), case.get(case.put(x))
    ys = case.f(*xs)
    _check_value(case, x, xs, ys, reference)
    dx, ybar = _random_like(x, 1), _random_like(case.get(ys), 2)
    worst = _check_identity(case, xs, dx, ybar)
    _check_none(case, xs, dx, ybar)
    case.close("inputs were modified", case.get(xs), before, 0.0)
    if case.precision == "float64":
        _check_variation(case, x, dx)
        if order >= 2:
            _check_second_order(case, x, dx)
    else:
        _check_against_double(case, x, dx)
    return worst


def _check_value(case, x, xs, ys, reference):
    like = xs[0]
    for y in ys:
        if namespace(y) is not namespace(like) or device_of(y) != device_of(like):
            case.fail(f"the result is on {device_of(y)} in {namespace(y).__name__}, the input on {device_of(like)}")
        if namespace(y).finfo(y.dtype).bits != namespace(like).finfo(like.dtype).bits:
            case.fail(f"the result has dtype {y.dtype}, the input {like.dtype}")
    invariant = case.get(case.invariant(*ys))
    if reference is not None:
        expected = reference(*x)
        expected = expected if isinstance(expected, tuple) else (expected,)
        case.close("value against the reference", invariant, expected, _VALUE[case.precision])
    strided = [_non_contiguous(v) for v in xs]
    case.close("non-contiguous input", case.get(case.g(*strided)), invariant, _VALUE[case.precision])


def _non_contiguous(x):
    """The same values at every second place of the last axis of a larger array."""
    if len(x.shape) == 0:
        return x
    xp = namespace(x)
    return xp.reshape(xp.stack([x, x + 1.0], axis=-1), (*x.shape[:-1], 2 * x.shape[-1]))[..., ::2]


def _push(case, f, xs, dx):
    return transforms.jvp(lambda v: f(*v), (xs,), (case.put(dx),))[1]


def _pull(case, f, xs, ybar):
    return transforms.vjp(lambda v: f(*v), xs)[1](case.put(ybar))[0]


def _check_identity(case, xs, dx, ybar):
    dy, xbar = case.get(_push(case, case.f, xs, dx)), case.get(_pull(case, case.f, xs, ybar))
    left, right = _inner(ybar, dy), _inner(xbar, dx)
    scale = max(_norm(ybar) * _norm(dy), _norm(xbar) * _norm(dx), 1e-300)
    violation = abs(left - right) / scale
    if not violation <= _IDENTITY[case.precision] * case.loss:
        case.fail(f"adjoint identity violated by {violation:.2e}: <ybar, dy> = {left:.17g}, <xbar, dx> = {right:.17g}")
    return violation


def _check_none(case, xs, dx, ybar):
    """None stands for zero, in every argument and output on its own."""
    _, saved = case.op.forward(*xs, **case.params)
    dxs, bars = case.put(dx), case.put(ybar)
    rules = case.op.variation
    if type(rules) is not tuple:
        parts = []
        for i in range(len(dxs)):
            dy = rules(saved, *[v if j == i else None for j, v in enumerate(dxs)])
            parts.append(dy if type(dy) is tuple else (dy,))
        whole = rules(saved, *dxs)
        whole = whole if type(whole) is tuple else (whole,)
        total = [sum(case.backend.get(p[k]) for p in parts if p[k] is not None) for k in range(len(whole))]
        case.close("variation with None tangents", total, case.get(whole), _VALUE[case.precision])
    if len(bars) > 1:
        whole = case.op.adjoint(saved, *bars)
        whole = case.get(whole if type(whole) is tuple else (whole,))
        total = [0.0] * len(whole)
        for i in range(len(bars)):
            part = case.op.adjoint(saved, *[v if j == i else None for j, v in enumerate(bars)])
            part = part if type(part) is tuple else (part,)
            total = [t if p is None else t + case.backend.get(p) for t, p in zip(total, part)]
        case.close("adjoint with None cotangents", total, whole, _VALUE[case.precision])


def _difference(case, f, x, dx):
    """Fourth-order central difference of ``f`` along ``dx``, per output, in NumPy."""
    h = _STEP * max(1.0, _norm(x)) / max(_norm(dx), 1e-300) / max(1.0, np.sqrt(sum(np.size(v) for v in x)))

    def at(t):
        return [np.asarray(v) for v in case.get(f(*case.put([u + t * h * d for u, d in zip(x, dx)])))]

    return [(8.0 * (a - b) - (c - d)) / (12.0 * h) for a, b, c, d in zip(at(1), at(-1), at(2), at(-2))]


def _check_variation(case, x, dx):
    dy = case.get(_push(case, case.g, case.put(x), dx))
    case.close("variation against finite differences", dy, _difference(case, case.g, x, dx), _DIFFERENCE)


def _check_against_double(case, x, dx):
    double = _Case(case.op, case.params, backends()[0], "complex128" if case.complex else "float64", case.invariant, 1.0)
    single = [v.astype(case.get(case.put([v]))[0].dtype) for v in x]
    weights = _random_like([np.asarray(v) for v in double.get(double.g(*double.put(single)))], 3)
    for what, run in {
        "variation": lambda c: c.get(_push(c, c.g, c.put(single), dx)),
        "adjoint": lambda c: c.get(_pull(c, c.g, c.put(single), weights)),
    }.items():
        case.close(f"{what} against double precision", run(case), run(double), _VALUE["float32"])


def _check_second_order(case, x, dx):
    weights = case.put(_random_like(case.get(case.g(*case.put(x))), 3))

    def phi(*xs):
        total = 0.0
        for w, y in zip(weights, case.g(*xs)):
            xp = namespace(w, y)
            product = xp.multiply(xp.conj(w) if is_complex(w) else w, y)
            total = total + xp.sum(xp.real(product) if is_complex(product) else product)
        return total

    everything = tuple(range(len(x)))
    gradient = transforms.grad(phi, argnums=everything)
    xs, dxs = case.put(x), case.put(dx)
    forward_reverse = case.get(transforms.jvp(gradient, xs, dxs)[1])
    difference = _difference(case, gradient, x, dx)
    scale = max(_norm(case.get(gradient(*xs))) * _norm(dx), 1e-300)
    error = _norm([a - b for a, b in zip(forward_reverse, difference)]) / max(_norm(difference), scale * 1e-3)
    if not error <= 10 * _DIFFERENCE * case.loss:
        case.fail(f"second order against finite differences of the gradient: relative difference {error:.2e}")

    def slope(*vs):
        return transforms.jvp(phi, vs, dxs)[1]

    def along(*vs):
        total = 0.0
        for v, d in zip(gradient(*vs), dxs):
            xp = namespace(v)
            product = xp.multiply(xp.conj(v) if is_complex(v) else v, d)
            total = total + xp.sum(xp.real(product) if is_complex(product) else product)
        return total

    curvature = _inner(forward_reverse, dx)
    tolerance = 1e-9 * case.loss * max(_norm(forward_reverse) * _norm(dx), scale)
    for what, other in {
        "reverse over reverse": lambda: _inner(case.get(transforms.grad(along, argnums=everything)(*xs)), dx),
        "reverse over forward": lambda: _inner(case.get(transforms.grad(slope, argnums=everything)(*xs)), dx),
        "forward over forward": lambda: float(case.backend.get(transforms.jvp(slope, xs, dxs)[1])),
    }.items():
        if not abs(other() - curvature) <= tolerance:
            case.fail(f"{what}: {other():.15g}, forward over reverse {curvature:.15g}")


def _check_batch(case, inputs):
    x = inputs(Draw(7, case.complex, (3,)))
    xs = case.put(x)
    ys = case.get(case.g(*xs))
    weights = _random_like(ys, 3)
    bars = case.get(_pull(case, case.g, xs, weights))
    for i in range(3):
        one = case.put([v[i] for v in x])
        case.close("batch against loop", [y[i] for y in ys], case.get(case.g(*one)), _VALUE[case.precision])
        bar = case.get(_pull(case, case.g, one, [w[i] for w in weights]))
        case.close("adjoint, batch against loop", [b[i] for b in bars], bar, _VALUE[case.precision])
    empty = case.put([v[:0] for v in x])
    y = case.g(*empty)
    bars = _pull(case, case.g, empty, [w[:0] for w in weights])
    for v, u in itertools.chain(zip(y, ys), zip(bars, x)):
        if tuple(v.shape) != (0, *u.shape[1:]):
            case.fail(f"empty batch: shape {tuple(v.shape)}, expected {(0, *u.shape[1:])}")


def check_grads(f, args, *, order=2, tolerance=1e-6, seed=0):
    """Check the derivatives of a function in both directions against finite differences and each other.

    Parameters
    ----------
    f : callable
        Function of pytrees of arrays.
    args : tuple
        Where to check: float64 or complex128 arrays of one backend.
    order : int
        1, or 2 to check Hessian products of a random projection of ``f`` as well.
    tolerance : float
        Relative, for finite differences; 1e-10 is used between the two directions.

    Raises
    ------
    AssertionError
    """
    leaves, structure = tree.flatten(tuple(args))
    backend = Backend("numpy" if isinstance(leaves[0], np.ndarray) else _name(leaves[0]), namespace(leaves[0]), device_of(leaves[0]))

    def flat(*xs):
        return tuple(tree.flatten(f(*structure.unflatten(list(xs))))[0])

    op = _Named(getattr(f, "__name__", "f"))
    case = _Case(op, {}, backend, "complex128" if any(is_complex(x) for x in leaves) else "float64", _as_tuple, tolerance / _DIFFERENCE)
    case.f = case.g = flat
    x = case.get(leaves)
    dx = _random_like(x, seed + 1)
    ybar = _random_like(case.get(flat(*leaves)), seed + 2)
    _check_identity(case, case.put(x), dx, ybar)
    _check_variation(case, x, dx)
    if order >= 2:
        _check_second_order(case, x, dx)


@dataclasses.dataclass
class _Named:
    name: str


def _name(x):
    name = namespace(x).__name__.rpartition(".")[2]
    return "strict" if name == "array_api_strict" else name
