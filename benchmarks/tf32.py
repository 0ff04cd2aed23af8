"""Square roots with products on tensor cores: accuracy, and on a GPU time, beside products in float32.

Matrices 128 × 128 with random eigenvectors and eigenvalues evenly in logarithm from 1 to 1/κ, in float32; relative
errors in the Frobenius norm of the root and of the gradient of <G, root> for a random G, against eigh in float64 at the
same matrix. Times are medians of one pass, forward and backward.

``python benchmarks/tf32.py`` simulates tensor cores on NumPy: entries rounded to TF32's 10 bits after the leading one,
or to bfloat16's 7, and no times. Sums are float32's; or, as tensor cores' are not rounded to nearest but cut off, those
of eight products at a time, exactly, cut off to 24 bits after each eight. ``--backend cupy`` or ``torch`` takes the
GPU's tensor cores, and prints both. ``--size`` is another number of rows than 128.
"""

import argparse
import importlib
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import arrmb
from arrmb import _tf32
from arrmb.linalg import roots

CONDITIONS = (10.0, 100.0, 1e3, 1e4)
SHAPES = ((256, 64), (64, 256), (16, 512), (4, 1024))  # batch, n
ROUNDS = 20


def rounded(a, bits):
    """``a`` (float32) to so many bits after the leading one, to nearest."""
    drop = 23 - bits
    whole = np.ascontiguousarray(a).view(np.uint32)
    return ((whole + np.uint32(1 << drop - 1)) >> np.uint32(drop) << np.uint32(drop)).view(np.float32)


def sums_cut_off(a, b):
    """A B of float32 matrices by sums of eight products, added to 24 bits that are cut off."""
    total = np.zeros((*a.shape[:-1], b.shape[-1]), np.float32)
    for k in range(0, a.shape[-1], 8):
        exact = total + a[..., k : k + 8].astype(np.float64) @ b[..., k : k + 8, :].astype(np.float64)
        total = exact.astype(np.float32)
        total = np.where(np.abs(total) > np.abs(exact), np.nextafter(total, np.float32(0.0)), total)
    return total


def simulate(bits, multiply=np.matmul):
    """Tensor cores of that format in the place of NumPy's products. As there, to have not converged is no error."""

    def product(a, b):
        return multiply(rounded(a, bits), rounded(b, bits))

    if bits != 10:  # TF32's is what runs on a GPU, too
        _tf32._leading = lambda a: rounded(a, bits)
    _tf32._tf32_product = lambda a, b: product
    roots._must_have_converged = lambda *args: None


def passes(x, g, method, precision):
    root, pullback = arrmb.vjp(lambda x: arrmb.linalg.sqrtmh(x, method=method, precision=precision), x)
    return root, pullback(g)[0]


def errors(put, get, n, method, precision):
    """The errors of root and gradient for each of the conditions."""
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    g = rng.standard_normal((n, n)).astype(np.float32)
    for condition in CONDITIONS:
        x = ((q * np.geomspace(1.0, 1.0 / condition, n)) @ q.T).astype(np.float32)
        truth = passes(x.astype(np.float64), g.astype(np.float64), "eigh", None)
        try:
            found = [get(y) for y in passes(put(x), put(g), method, precision)]
            yield " / ".join(f"{np.linalg.norm(y - e) / np.linalg.norm(e):.0e}" for y, e in zip(found, truth))
        except ValueError:
            yield "diverges"


def times(put, wait, method):
    """Milliseconds of the three precisions for each of the shapes, in turns."""
    for batch, n in SHAPES:
        f = np.random.default_rng(0).standard_normal((batch, 2 * n, n))
        x = put((np.swapaxes(f, -1, -2) @ f / n + 0.1 * np.eye(n)).astype(np.float32))
        found = {precision: [] for precision in (None, *_tf32.PRECISIONS)}
        for i in range(ROUNDS + 1):
            for precision, samples in found.items():
                wait()
                start = time.perf_counter()
                passes(x, x, method, precision)
                wait()
                if i:  # the first warms up
                    samples.append(1e3 * (time.perf_counter() - start))
        low, *others = (statistics.median(samples) for samples in found.values())
        yield f"{batch} x {n} x {n}: {low:.2f} ms; " + "; ".join(
            f"{precision} {ms:.2f} ({low / ms:.2f} times as fast)" for precision, ms in zip(_tf32.PRECISIONS, others)
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=["numpy", "cupy", "torch"], default="numpy")
    parser.add_argument("--size", type=int, default=128)
    arguments = parser.parse_args()
    xp = importlib.import_module(arguments.backend)
    put, get, wait, formats = {
        "numpy": lambda: (
            np.asarray,
            np.asarray,
            None,
            {"bfloat16": (7,), "TF32, sums cut off": (10, sums_cut_off), "TF32": (10,)},
        ),
        "cupy": lambda: (xp.asarray, xp.asnumpy, xp.cuda.get_current_stream().synchronize, {"TF32": None}),
        "torch": lambda: (
            lambda x: xp.asarray(x, device="cuda"),
            lambda x: x.cpu().numpy(),
            xp.cuda.synchronize,
            {"TF32": None},
        ),
    }[arguments.backend]()
    leading = _tf32._leading
    print("| method | products |", " | ".join(f"κ = {c:.0e}" for c in CONDITIONS), "|")
    print("|" + "---|" * (2 + len(CONDITIONS)))
    for method in ("newton-schulz", "sign"):
        print(f"| {method} | float32 |", " | ".join(errors(put, get, arguments.size, method, None)), "|")
    for name, simulation in formats.items():
        _tf32._leading = leading
        if simulation:
            simulate(*simulation)
        for method in ("newton-schulz", "sign"):
            for precision, count in zip(_tf32.PRECISIONS, ("one", "three")):
                found = " | ".join(errors(put, get, arguments.size, method, precision))
                print(f"| {method} | {name}, {count} |", found, "|")
    for method in ("newton-schulz", "sign") if wait else ():
        print(method, *times(put, wait, method), sep="\n    ")


if __name__ == "__main__":
    main()
