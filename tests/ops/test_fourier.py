"""Discrete Fourier transforms along one or several axes, in the three norms."""

import numpy as np
import pytest

from arrmb.ops.fourier import fftn, ifftn, irfft, rfft

NORMS = ["backward", "ortho", "forward"]


@pytest.fixture
def check_complex(check):
    if not check.dtype.startswith("complex"):
        pytest.skip("of complex arrays only")
    return check


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("op, reference", [(fftn, np.fft.fftn), (ifftn, np.fft.ifftn)], ids=["fftn", "ifftn"])
@pytest.mark.parametrize("axes", [(-1,), (-2,), (-2, -1)])
def test_complex(check_complex, op, reference, axes, norm):
    check_complex(
        op,
        lambda d: (d.normal(3, 4),),
        params={"axes": axes, "norm": norm},
        reference=lambda x: reference(x, axes=axes, norm=norm),
        batch=False,
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_real(check_real, n, norm):
    check_real(
        rfft,
        lambda d: (d.normal(2, n),),
        params={"axis": -1, "norm": norm},
        reference=lambda x: np.fft.rfft(x, norm=norm),
        batch=False,
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_inverse_of_real(check_complex, n, norm):
    check_complex(
        irfft,
        lambda d: (d.normal(2, n // 2 + 1),),
        params={"n": n, "axis": -1, "norm": norm},
        reference=lambda x: np.fft.irfft(x, n=n, norm=norm),
        batch=False,
    )
