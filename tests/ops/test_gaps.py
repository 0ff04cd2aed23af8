"""The literature's approximations of 1/(w_j - w_i): against loops, at ties, and in the rules of eigh."""

import itertools
import math

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb._xp import H
from arrmb.ops import gaps
from arrmb.ops.eigh import eigh
from arrmb.testing import Draw

KINDS = ["taylor", "pade", "truncate", "top", "lorentzian"]
PARAMETERS = [("taylor", 100), ("truncate", 10.0), ("top", 2), ("lorentzian", 1e-3)]
SPECTRA = [[0.5, 1.0, 2.0, 4.0], [1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 1.0, 3.0], [-2.0, -1.0, 1.0, 2.0]]


def entry(kind, w, i, j):
    """One entry, from the definition, in plain arithmetic."""
    name, parameter = (kind, None) if isinstance(kind, str) else kind
    if i == j:
        return 0.0
    if i > j:
        return -entry(kind, w, j, i)
    if name == "lorentzian":
        return (w[j] - w[i]) / ((w[j] - w[i]) ** 2 + (parameter or 1e-12))
    if name == "truncate":
        largest = parameter or 1e10
        return largest if w[j] - w[i] <= 1.0 / largest else 1.0 / (w[j] - w[i])
    if name == "top":
        n, count = len(w), parameter or math.ceil(0.8 * len(w))
        a, b = (w[k] if k >= n - count else 0.0 for k in (i, j))
        return 0.0 if a == b else 1.0 / (b - a)
    g, h, sign = (w[j], w[i], 1.0) if abs(w[j]) >= abs(w[i]) else (w[i], w[j], -1.0)
    if g == 0.0:
        return 0.0
    if name == "taylor":
        return sign * math.fsum((h / g) ** k for k in range((parameter or 9) + 1)) / g
    return sign / (g * max(1.0 - h / g, np.finfo(float).eps))


@pytest.mark.parametrize("kind", [*KINDS, *PARAMETERS])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_against_the_definition(backend, kind, spectrum):
    n = len(spectrum)
    w = backend.put(np.stack([spectrum, 2.0 * np.asarray(spectrum)]), "float64")
    found = backend.get(gaps.inverse_gaps(w, kind))
    for b, i, j in itertools.product(range(2), range(n), range(n)):
        expected = entry(kind, (b + 1) * np.asarray(spectrum), i, j)
        assert abs(found[b, i, j] - expected) <= 1e-13 * abs(expected)
    single = gaps.inverse_gaps(backend.put(spectrum, "float32"), kind)
    assert single.dtype == backend.xp.float32 and np.all(np.isfinite(backend.get(single)))


def test_pade_approximants_are_the_exact_quotient():
    """[m/n] with n >= 1: q f - p = O(r^(m+n+1)) is solved by p = 1, q = 1 - r, for f the geometric series."""
    for m, n in ((0, 1), (3, 3), (50, 50)):
        series, q, p = np.ones(m + n + 1), np.r_[1.0, -1.0, np.zeros(n - 1)], np.r_[1.0, np.zeros(m + n)]
        assert np.array_equal(np.convolve(q, series)[: m + n + 1], p)
    w = np.asarray([0.5, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(gaps.inverse_gaps(w, "pade"), gaps.inverse_gaps(w), rtol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_converges_to_the_exact_one_for_separated_spectra(kind):
    """By a rate that the definition gives: r^10 for the series, ε/gap² for the broadening, w_rest/w for the top."""
    for separation in (10.0, 100.0, 1000.0):
        w = separation ** np.arange(1.0, 6.0)
        exact = gaps.inverse_gaps(w)
        error = np.max(np.abs(gaps.inverse_gaps(w, kind) - exact) / np.where(exact == 0.0, 1.0, np.abs(exact)))
        assert error <= {"taylor": separation**-10, "top": 2.0 / separation, "lorentzian": 1e-12}.get(kind, 0.0) + 1e-15


@pytest.mark.parametrize("kind", [*KINDS, *PARAMETERS])
def test_variation_and_adjoint_are_transposes(check, kind):
    """And both are the rules with this K, at ties too; differences and second order are not those of the function."""
    d = Draw(3, complex=check.dtype.startswith("complex"))
    for spectrum in SPECTRA:
        x, dx = d.hermitian(spectrum), d.hermitian([1.0, -1.0, 0.5, 2.0])
        vbar, wbar = d.normal(4, 4), d.real(4)
        put = [check.backend.put(v, check.dtype) for v in (x, dx, wbar, vbar)]

        def f(x):
            return eigh(x, gaps=kind)

        (w, v), (dw, dv) = arrmb.jvp(f, (put[0],), (put[1],))
        _, pull = arrmb.vjp(f, put[0])
        xbar = check.backend.get(pull(tuple(put[2:]))[0])
        w, v, dw, dv = map(check.backend.get, (w, v, dw, dv))
        k = np.asarray([[entry_of(check, kind, w, i, j) for j in range(4)] for i in range(4)])
        expected = v @ (k * (np.conj(v.T) @ dx @ v))
        tolerance = 1e-12 if w.dtype == np.float64 else 1e-4
        assert np.linalg.norm(dv - expected) <= tolerance * max(1.0, np.linalg.norm(expected))
        left = np.sum(wbar * dw) + np.sum(np.real(np.conj(vbar) * dv))
        right = np.sum(np.real(np.conj(xbar) * dx))
        scale = np.linalg.norm(vbar) * np.linalg.norm(dv) + np.linalg.norm(wbar) * np.linalg.norm(dw)
        assert abs(left - right) <= tolerance * scale


def entry_of(check, kind, w, i, j):
    """Of the computed eigenvalues: at a tie, which of the two is larger is a matter of rounding, and so is K."""
    return gaps.inverse_gaps(w, kind)[i, j]


@pytest.mark.parametrize("kind", KINDS)
def test_public_function(kind):
    x, g = Draw(1).hermitian([1.0, 10.0, 100.0, 1000.0]), Draw(2).hermitian([1.0, 2.0, 3.0, 4.0])

    def loss(kind):
        def of(x):
            v = linalg.eigh(x, gaps=kind).eigenvectors[:, 3:]
            return arrmb.namespace(x).sum((v @ H(v)) * g)

        return of

    found, exact = arrmb.grad(loss(kind))(x), arrmb.grad(loss("exact"))(x)
    assert np.linalg.norm(found - exact) <= (0.2 if kind == "top" else 1e-8) * np.linalg.norm(exact)
    e = Draw(3).hermitian([1.0, 2.0, 3.0, 4.0])
    assert np.all(np.isfinite(arrmb.hvp(loss(kind), (x,), (e,))[0]))
    assert np.all(np.isfinite(arrmb.grad(loss(kind))(np.eye(4))))


def test_bad_gaps():
    x = np.eye(3)
    for wrong in ("tailor", ("taylor", 9, 9), ("exact", 1), ("pade", 5), (), None, ["taylor", 9], ([], 1)):
        with pytest.raises(
            ValueError, match="eigh: gaps must be one of 'exact', 'taylor', 'pade', 'truncate', 'top', "
        ):
            linalg.eigh(x, gaps=wrong)
    for wrong in (("taylor", 2.5), ("top", 0), ("taylor", True), ("top", "2")):
        with pytest.raises(ValueError, match=r"eigh: the parameter of gaps='t.*' must be a positive integer, got"):
            linalg.eigh(x, gaps=wrong)
    for wrong in (("lorentzian", -1.0), ("truncate", None), ("lorentzian", float("nan"))):
        with pytest.raises(ValueError, match=r"eigh: the parameter of gaps='.*' must be a positive number, got"):
            linalg.eigh(x, gaps=wrong)
