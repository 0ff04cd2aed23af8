"""A v = w B v: values against SciPy, derivatives against PyTorch by Cholesky reduction, and 60 digits."""

import mpmath
import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb._xp import H, conj, real
from arrmb.ops.generalized_eigh import generalized_eigh
from arrmb.testing import Draw

A, B = [-1.0, 0.5, 2.0, 5.0], [0.5, 1.0, 2.0, 3.0]


def pair(w=A, b=B):
    return lambda d: (d.hermitian(w), d.hermitian(b))


def tied_pair(w):
    """B = L L^H and A = L X L^H, X with the eigenvalues w: the generalised ones."""

    def make(d):
        b, x = d.hermitian(B), d.hermitian(w)
        lower = np.linalg.cholesky(b)
        return lower @ x @ np.conj(np.swapaxes(lower, -1, -2)), b

    return make


def functions(w, v):
    """Eigenvalues, and V f(w) V^H: neither depends on phases. With f = 1 it is B^-1, whatever the ties."""
    return w, (v * (w * w * w)[..., None, :]) @ H(v), v @ H(v)


def groups(w, v):
    """What the op is exact for when the first two eigenvalues are tied."""
    xp = arrmb.namespace(w)
    parts = (v[..., :, :2], v[..., :, 2:3], v[..., :, 3:])
    return xp.sum(xp.exp(w[..., :2]), axis=-1), w[..., 2:], *[p @ H(p) for p in parts]


def test_generalized_eigh(check):
    def reference(a, b):
        c = np.linalg.solve(b, a)
        return np.sort(np.linalg.eigvals(c).real), c @ c @ c @ np.linalg.inv(b), np.linalg.inv(b)

    check(generalized_eigh, pair(), invariant=functions, reference=reference)


def test_at_ties(check):
    at = [tied_pair([1.0, 1.0 + 1e-15, 3.0, 4.5]), tied_pair([0.0, 0.0, 3.0, 4.5])]
    check(generalized_eigh, tied_pair([1.0, 1.0, 3.0, 4.5]), invariant=groups, at=at, order=1)


@pytest.mark.parametrize("complex", [False, True])
def test_values_are_those_of_scipy(complex):
    scipy = pytest.importorskip("scipy.linalg")
    a, b = pair()(Draw(0, complex=complex))
    w, v = linalg.generalized_eigh(a, b)
    expected, u = scipy.eigh(a, b)
    np.testing.assert_allclose(w, expected, rtol=1e-13)
    np.testing.assert_allclose(np.conj(v.T) @ b @ v, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(np.abs(np.conj(u.T) @ b @ v), np.eye(4), atol=1e-13)
    np.testing.assert_allclose(a @ v, b @ v * w, atol=1e-13)


def loss(lib, w, v, g):
    """Of eigenvalues and of single eigenvectors; ``lib`` has the functions."""
    vh = H(v) if lib is None else v.mH
    xp = arrmb.namespace(w) if lib is None else lib
    weights = xp.exp(0.3 * w) + xp.asarray([1.0, 2.0, 3.0, 4.0])
    return xp.sum(real_part(((v * weights[None, :]) @ vh) * g)) + xp.sum(w * w * w)


def real_part(x):
    return real(x) if arrmb._xp.is_traced(x) else x.real


@pytest.mark.parametrize("complex", [False, True])
def test_gradients_against_pytorch(complex):
    torch = pytest.importorskip("torch")
    draw = Draw(1, complex=complex)
    (a, b), g = pair()(draw), conj(draw.hermitian([1.0, 2.0, 3.0, 4.0]))
    ours = arrmb.grad(lambda a, b: loss(None, *linalg.generalized_eigh(a, b), g), argnums=(0, 1))(a, b)

    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))
    lower = torch.linalg.cholesky(tb)
    half = torch.linalg.solve(lower, ta)
    w, u = torch.linalg.eigh(torch.linalg.solve(lower, half.mH))
    loss(torch, w, torch.linalg.solve(lower.mH, u), torch.tensor(g)).backward()
    for found, theirs in zip(ours, (ta.grad, tb.grad)):
        expected = 0.5 * (theirs + theirs.mH).resolve_conj().numpy()
        assert np.linalg.norm(found - expected) <= 1e-12 * np.linalg.norm(expected)


def mp_loss(a, b, g):
    lower = mpmath.cholesky(b)
    inverse = lower**-1
    w, u = mpmath.eigsy(inverse * a * inverse.T)
    v = inverse.T * u
    weights = [mpmath.exp(mpmath.mpf(0.3) * w[j]) + j + 1 for j in range(4)]
    m = v * mpmath.diag(weights) * v.T
    return sum(m[i, j] * g[i, j] for i in range(4) for j in range(4)) + sum(x**3 for x in w)


@pytest.mark.parametrize("b", [B, [1e-3, 0.1, 1.0, 10.0]])
def test_against_sixty_digits(b):
    """Along a direction of both arguments: first and second derivative."""
    draw = Draw(2)
    x = pair(b=b)(draw)
    g, *e = (draw.hermitian([1.0, 2.0, -3.0, 4.0]) for _ in range(3))
    e[1] = 0.1 * b[0] * e[1]

    def f(a, b):
        return loss(None, *linalg.generalized_eigh(a, b), g)

    with mpmath.workdps(60):
        ma, mb, mg, mda, mdb = (mpmath.matrix(np.asarray(m).tolist()) for m in (*x, g, *e))
        line = lambda t: mp_loss(ma + t * mda, mb + t * mdb, mg)  # noqa: E731
        first, second = (float(mpmath.diff(line, 0, k, h=mpmath.mpf("1e-15"))) for k in (1, 2))
    slope = sum(np.sum(u * v) for u, v in zip(arrmb.grad(f, argnums=(0, 1))(*x), e))
    curvature = sum(np.sum(u * v) for u, v in zip(arrmb.hvp(f, x, tuple(e)), e))
    condition = b[-1] / b[0]
    assert abs(slope - first) <= 1e-14 * condition * abs(first)
    assert abs(curvature - second) <= 1e-13 * condition * abs(second)


def test_broadcasting_and_promotion(backend):
    draw = Draw(3, complex=True)
    a = np.stack([draw.hermitian(A), draw.hermitian(B)])
    b = Draw(4).hermitian(B)
    g = draw.hermitian([1.0, 2.0, 3.0, 4.0])

    def f(a, b):
        w, v = linalg.generalized_eigh(a, b)
        xp = arrmb.namespace(w)
        cubes = xp.astype(w * w * w, v.dtype)[..., None, :]
        return xp.sum(w) + xp.sum(real(((v * cubes) @ H(v)) * backend.put(np.conj(g), "float64")))

    put = backend.put(a, "float64"), backend.put(b, "float64")
    abar, bbar = map(backend.get, arrmb.grad(f, argnums=(0, 1))(*put))
    assert abar.shape == a.shape and abar.dtype == np.complex128
    assert bbar.shape == b.shape and bbar.dtype == np.float64
    one_by_one = [arrmb.grad(f, argnums=(0, 1))(put[0][i, ...], put[1]) for i in range(2)]
    np.testing.assert_allclose(abar, np.stack([backend.get(u) for u, _ in one_by_one]), rtol=1e-11)
    np.testing.assert_allclose(bbar, sum(backend.get(v) for _, v in one_by_one), rtol=1e-11)


def test_gauge():
    a, b = tied_pair([1.0, 1.0, 3.0, 4.5])(Draw(0))
    g = Draw(1).hermitian([1.0, 2.0, 3.0, 4.0])

    def parts(columns):
        def f(a, b):
            v = linalg.generalized_eigh(a, b, gauge="raise").eigenvectors[:, columns]
            return arrmb.namespace(v).sum((v @ H(v)) * g)

        return f

    for c in (1e-8, 1.0, 1e8):  # vectors of any size
        for found in arrmb.grad(parts(slice(0, 2)), argnums=(0, 1))(c * a, c * b):
            assert np.all(np.isfinite(found))
        with pytest.raises(ValueError, match=r"generalized_eigh: eigenvalues 0 and 1 \(1 and 1, .*choice of eigenv"):
            arrmb.grad(parts(slice(0, 1)))(c * a, c * b)
    with pytest.raises(ValueError, match=r"generalized_eigh: eigenvalues 0 and 1 .*not symmetric"):
        arrmb.grad(lambda a: linalg.generalized_eigh(a, b, gauge="raise")[0][0])(a)
    with pytest.raises(
        ValueError, match=r"generalized_eigh: eigenvalues 0 and 1 .*no rule for second derivatives at ties"
    ):
        arrmb.hvp(parts(slice(0, 2)), (a, b), (a, b))
    with pytest.raises(ValueError, match=r"generalized_eigh: eigenvalues 0 and 1 .*the direction splits"):
        arrmb.jvp(parts(slice(0, 2)), (a, b), (g, b))
    a, b = pair()(Draw(0))
    assert np.all(np.isfinite(arrmb.hvp(parts(slice(0, 1)), (a, b), (b, a))[1]))


def test_bad_arguments(backend):
    eye = backend.put(np.eye(3), "float64")
    with pytest.raises(
        ValueError, match=r"generalized_eigh: a and b must be of one size, got shapes \(3, 3\) and \(2, "
    ):
        linalg.generalized_eigh(eye, eye[:2, :2])
    with pytest.raises(ValueError, match=r"generalized_eigh: b must have shape \(\.\.\., n, n\), got \(3, 2\)"):
        linalg.generalized_eigh(eye, eye[:, :2])
    with pytest.raises(TypeError, match="generalized_eigh: b must be a floating-point array, got float"):
        linalg.generalized_eigh(eye, 1.0)
    with pytest.raises(ValueError, match="generalized_eigh: gauge must be 'drop' or 'raise', got 1"):
        linalg.generalized_eigh(eye, eye, gauge=1)
    if backend.name != "cupy":
        with pytest.raises(ValueError, match="generalized_eigh: b is not positive definite, or a or b has NaN or inf"):
            linalg.generalized_eigh(eye, -eye)
    if backend.name != "torch":
        torch = pytest.importorskip("torch")
        with pytest.raises(TypeError, match="generalized_eigh: a, b are arrays of different backends"):
            linalg.generalized_eigh(eye, torch.eye(3))
