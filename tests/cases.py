"""One differentiable use of every public function of arrmb, for tests that go over all of them.

A case makes its arguments (NumPy arrays, float64; constants are integer or boolean) from a random generator, and calls
the function on them through a module ``m``, which is `arrmb` itself or one of its plug-ins: ``m.linalg.logmh`` and so
on. Apart from that it uses what arrays of every framework have: ``@``, ``+``, ``*``, ``.T``. What it returns does not
depend on free choices (signs of eigenvectors), so that finite differences see one smooth function.
"""

import dataclasses
import types
from collections.abc import Callable

import numpy as np

import arrmb
import arrmb.layers


@dataclasses.dataclass(frozen=True)
class Case:
    """``call(m, *make(rng))`` is differentiable in the floating-point arguments, ``order`` times (1 or 2)."""

    make: Callable
    call: Callable
    order: int = 2


def general(*shapes):
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)


def with_spectrum(low, high, n=4):
    """A symmetric matrix with eigenvalues that are spread over an interval."""

    def make(rng):
        q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        return ((q * np.linspace(low, high, n)) @ q.T,)

    return make


def near_identity(*shapes):
    """Square matrices that are far from singular, and further arguments."""

    def make(rng):
        found = [rng.standard_normal(shape) for shape in shapes]
        return (np.eye(len(found[0])) * 3 + found[0], *found[1:])

    return make


SPD, SYM = with_spectrum(0.5, 3.0), with_spectrum(-1.5, 2.0)


def sym(x):
    """The functions take symmetric matrices; a finite difference of one entry is none."""
    return 0.5 * (x + x.T)


def hermitian(name, make=SPD, *args, **options):
    return Case(make, lambda m, x: getattr(m.linalg, name)(sym(x), *args, **options))


def plain(name, make, *args, **options):
    return Case(make, lambda m, *arrays: getattr(m.linalg, name)(*arrays, *args, **options))


def vectors(pair):
    """Eigenvalues, and the squares of the entries of the eigenvectors."""
    w, v = pair
    return w, v * v


LINALG = {
    **{name: hermitian(name) for name in "invh logmh sqrtmh invsqrtmh logdeth softplusmh expmh".split()},
    **{name: hermitian(name, SYM) for name in "absmh signmh softmaxmh logsumexpmh tanhmh eigvalsh".split()},
    "powmh": hermitian("powmh", SPD, 0.3),
    "clampmh": hermitian("clampmh", SYM, 0.2),
    "spectral": Case(SYM, lambda m, x: m.linalg.spectral(sym(x), sine_and_square)),
    "square_roots": hermitian("square_roots"),
    "top_projector": hermitian("top_projector", SYM, 2),
    "window_projector": hermitian("window_projector", SYM, -0.8, 1.2),
    "eigh": Case(SYM, lambda m, x: vectors(m.linalg.eigh(sym(x)))),
    "eigh_top": Case(SYM, lambda m, x: vectors(m.linalg.eigh_top(sym(x), 2))),
    "generalized_eigh": Case(
        lambda rng: (*SYM(rng), *SPD(rng)), lambda m, a, b: vectors(m.linalg.generalized_eigh(sym(a), sym(b)))
    ),
    "cholesky": hermitian("cholesky"),
    "eig": Case(near_identity((3, 3)), lambda m, x: m.linalg.eig(x @ x @ x)[0]),
    "eigvals": Case(near_identity((3, 3)), lambda m, x: m.linalg.eigvals(x)),
    "lu": plain("lu", near_identity((4, 4))),
    "qr": plain("qr", general((5, 3))),
    "svd": Case(general((4, 3)), lambda m, x: svd_invariants(*m.linalg.svd(x, full_matrices=False))),
    "svd_top": Case(general((4, 3)), lambda m, x: svd_invariants(*m.linalg.svd_top(x, 2))),
    "svdvals": plain("svdvals", general((4, 3))),
    "svd_function": Case(general((4, 3)), lambda m, x: m.linalg.svd_function(x, cube)),
    "polar": plain("polar", general((4, 3))),
    "expm": plain("expm", general((4, 4))),
    "logm": plain("logm", lambda rng: (np.eye(4) * 6 + rng.standard_normal((4, 4)),)),
    "sqrtm": plain("sqrtm", lambda rng: (np.eye(4) * 6 + rng.standard_normal((4, 4)),)),
    "matrix_power": plain("matrix_power", near_identity((3, 3)), 3),
    "inv": plain("inv", near_identity((4, 4))),
    "solve": plain("solve", near_identity((4, 4), (4, 2))),
    "solve_triangular": plain("solve_triangular", near_identity((4, 4), (4, 2)), lower=True),
    "lstsq": plain("lstsq", general((5, 3), (5, 2))),
    "pinv": plain("pinv", general((4, 3))),
    "solve_sylvester": plain(
        "solve_sylvester", lambda rng: [np.eye(3) * 4 + rng.standard_normal((3, 3)) for _ in "abc"]
    ),
    "solve_lyapunov": plain("solve_lyapunov", near_identity((3, 3), (3, 3))),
    "det": plain("det", near_identity((4, 4))),
    "slogdet": Case(near_identity((4, 4)), lambda m, x: m.linalg.slogdet(x)[1]),
    "matrix_norm": plain("matrix_norm", general((4, 3)), ord="nuc"),
    "schatten_norm": plain("schatten_norm", general((4, 3)), 3.0),
    "ky_fan_norm": plain("ky_fan_norm", general((4, 3)), 2),
    "vector_norm": plain("vector_norm", general((4, 3)), axis=-1, ord=3),
    "cond": plain("cond", near_identity((4, 4))),
    "projector": plain("projector", general((5, 3))),
    "project": plain("project", general((5, 3), (5, 2))),
    "subspace_distance": plain("subspace_distance", general((5, 3), (5, 2))),
    "subspace_angles": plain("subspace_angles", general((6, 3), (6, 2))),
    "matmul": plain("matmul", general((3, 4), (4, 2))),
    "matrix_transpose": plain("matrix_transpose", general((3, 4))),
    "tensordot": plain("tensordot", general((3, 4), (4, 2)), axes=1),
    "vecdot": plain("vecdot", general((3, 4), (3, 4))),
    "outer": plain("outer", general((3,), (4,))),
    "cross": plain("cross", general((4, 3), (4, 3))),
    "diagonal": plain("diagonal", general((3, 4))),
    "trace": plain("trace", general((4, 4))),
    "multi_dot": Case(general((3, 4), (4, 2), (2, 5)), lambda m, *arrays: m.linalg.multi_dot(list(arrays))),
    "block_diag": plain("block_diag", general((3, 4), (2, 2))),
    "kron": plain("kron", general((3, 2), (2, 2))),
    "vech": hermitian("vech", SYM),
}
NO_DERIVATIVE = {"linalg.matrix_rank", "layers.normalized_cuts_segment"}  # integers


def sine_and_square(w):
    xp = arrmb.namespace(w)
    return xp.sin(w) + w * w


def cube(s):
    return s * s * s


def svd_invariants(u, s, vh):
    return u * u, s, vh * vh


def through(m, layer, x):
    """``layer(x)``; the plug-ins have ``function``, which takes layers as arguments like other trees of arrays."""

    def call(layer, x):
        return layer(x)

    return getattr(m, "function", lambda f: f)(call)(layer, x)


def labels(*shape):
    return np.arange(int(np.prod(shape))).reshape(shape) % 3


LAYERS = {
    "second_order_pooling": Case(general((2, 6, 4)), lambda m, x: m.layers.second_order_pooling(x)),
    "second_order_pooling, power, few locations": Case(
        general((3, 5)), lambda m, x: m.layers.second_order_pooling(x, transform="power", average=True)
    ),
    "second_order_pooling, masks": Case(
        lambda rng: (rng.standard_normal((6, 4)), rng.uniform(0.5, 1.0, (2, 6))),
        lambda m, x, masks: m.layers.second_order_pooling(x, masks=masks),
    ),
    "normalized_cuts_loss": Case(
        lambda rng: (rng.uniform(0.5, 1.5, (2, 7, 3)), labels(2, 7)),
        lambda m, x, labels: m.layers.normalized_cuts_loss(x, labels),
    ),
    "normalized_cuts_loss, weights": Case(
        lambda rng: (rng.uniform(0.5, 1.5, (7, 3)), labels(7), rng.uniform(0.5, 1.5, 3)),
        lambda m, x, labels, weights: m.layers.normalized_cuts_loss(x, labels, weights=weights),
    ),
    "Linear": Case(general((3, 2), (2,), (5, 3)), lambda m, w, b, x: through(m, arrmb.layers.Linear(w, b), x)),
    "Conv2d": Case(
        general((3, 3, 2, 3), (3,), (1, 5, 5, 2)), lambda m, w, b, x: through(m, arrmb.layers.Conv2d(w, b), x)
    ),
    "GroupNorm": Case(
        general((4,), (4,), (1, 3, 3, 4)), lambda m, w, b, x: through(m, arrmb.layers.GroupNorm(w, b, groups=2), x)
    ),
    "group_norm": Case(general((1, 3, 3, 4)), lambda m, x: m.layers.group_norm(x, groups=2)),
    "max_pool2d": Case(general((1, 4, 4, 2)), lambda m, x: m.layers.max_pool2d(x, 2)),
    "mean_pool2d": Case(general((1, 4, 4, 2)), lambda m, x: m.layers.mean_pool2d(x, 2)),
    "relu": Case(general((3, 4)), lambda m, x: m.layers.relu(x)),
    "softmax_cross_entropy": Case(
        lambda rng: (rng.standard_normal((4, 3)), labels(4)),
        lambda m, x, labels: m.layers.softmax_cross_entropy(x, labels),
    ),
}
CASES = {f"linalg.{name}": case for name, case in LINALG.items()} | {f"layers.{n}": case for n, case in LAYERS.items()}


def missing():
    """Public functions and layers without a case."""
    modules = types.SimpleNamespace(linalg=arrmb.linalg, layers=arrmb.layers)
    public = {f"{module}.{name}" for module in vars(modules) for name in getattr(modules, module).__all__}
    return public - {name.partition(",")[0] for name in CASES} - NO_DERIVATIVE
