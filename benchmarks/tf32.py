"""Square roots with products on tensor cores: accuracy, and on a GPU time, beside products in float32.

Matrices 128 × 128 with random eigenvectors and eigenvalues evenly in logarithm from 1 to 1/κ, in float32; relative
errors in the Frobenius norm of the root and of the gradient of <G, root> for a random G, against eigh in float64 at the
same matrix. Times are medians of one pass, forward and backward.

``python benchmarks/tf32.py`` simulates tensor cores on NumPy: entries rounded to TF32's 10 bits after the leading one,
or to bfloat16's 7, sums in float32, and no times. ``--backend cupy`` or ``torch`` takes the GPU's, and prints both.
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


def simulate(bits):
    """Tensor cores of that format in the place of NumPy's products. As there, to have not converged is no error."""
    _tf32._leading = lambda a: rounded(a, bits)
    _tf32._on_tensor_cores = lambda a, b: lambda a, b: rounded(a, bits) @ rounded(b, bits)
    roots._must_have_converged = lambda *args: None


def passes(x, g, method, precision):
    root, pullback = arrmb.vjp(lambda x: arrmb.linalg.sqrtmh(x, method=method, precision=precision), x)
    return root, pullback(g)[0]


def errors(put, get, method, precision):
    """The errors of root and gradient for each of the conditions."""
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.standard_normal((128, 128)))[0]
    g = rng.standard_normal((128, 128)).astype(np.float32)
    for condition in CONDITIONS:
        x = ((q * np.geomspace(1.0, 1.0 / condition, 128)) @ q.T).astype(np.float32)
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
    backend = parser.parse_args().backend
    xp = importlib.import_module(backend)
    put, get, wait, formats = {
        "numpy": lambda: (np.asarray, np.asarray, None, {"TF32": 10, "bfloat16": 7}),
        "cupy": lambda: (xp.asarray, xp.asnumpy, xp.cuda.get_current_stream().synchronize, {"TF32": None}),
        "torch": lambda: (
            lambda x: xp.asarray(x, device="cuda"),
            lambda x: x.cpu().numpy(),
            xp.cuda.synchronize,
            {"TF32": None},
        ),
    }[backend]()
    print("| method | products |", " | ".join(f"κ = {c:.0e}" for c in CONDITIONS), "|")
    print("|" + "---|" * (2 + len(CONDITIONS)))
    for method in ("newton-schulz", "sign"):
        print(f"| {method} | float32 |", " | ".join(errors(put, get, method, None)), "|")
    for name, bits in formats.items():
        if bits:
            simulate(bits)
        for method in ("newton-schulz", "sign"):
            for precision, count in zip(_tf32.PRECISIONS, ("one", "three")):
                found = " | ".join(errors(put, get, method, precision))
                print(f"| {method} | {name}, {count} |", found, "|")
    for method in ("newton-schulz", "sign") if wait else ():
        print(method, *times(put, wait, method), sep="\n    ")


if __name__ == "__main__":
    main()
