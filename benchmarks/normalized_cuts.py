"""Cost of `normalized_cuts_loss` on one image at full resolution: time, memory, growth, and PyTorch's ways to it.

One thread. Times are medians of rounds in which all take turns, with the fastest and the slowest. Memory is the peak
above what was there before, in copies of the feature array, each in a process of its own: "resident" is what Linux
counts (VmHWM), with the work space of LAPACK and what the allocator holds on to, and is the one to go by; "traced" is
`tracemalloc`'s, which sees NumPy's arrays only.

``python benchmarks/normalized_cuts.py --data BSDS500/data`` takes the features of the first training image: Gaussians
of the distances in colour and place to 64 of its pixels, and its first ground truth. Without ``--data`` features and
labels are random, of the same size.

The rivals, in PyTorch: "dense" makes W = F F^T and M = D^-½ W D^-½, n × n, and the projector ``pinv(M) @ M``, for a
projector from ``eigh`` has a derivative of NaN: M has n - d equal eigenvalues. "low rank" takes ‖Q^T B‖² of the thin QR
of D^-½ F, as arrmb does, with autograd through `torch.linalg.qr`; it needs channels that are independent. Errors of
losses and gradients are those against arrmb in double precision, relative.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import numpy as np
import scipy.linalg
from layers_common import Absent, resident

import arrmb
from arrmb.layers import normalized_cuts_loss

PIXELS, CHANNELS, SEGMENTS = 321 * 481, 64, 15
DENSE = 4096
GROWTH = (1 / 16, 1 / 4, 1, 4)


def random_image(n=PIXELS, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.01, 1.0, (n, CHANNELS)), rng.integers(0, SEGMENTS, n)


def real_image(root, seed=0):
    """Features and labels of the first training image of BSDS500."""
    from skimage import color

    from arrmb.data import BSDS500

    first = BSDS500(root, "train")[0]
    h, w = first.image.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    found = np.concatenate([color.rgb2lab(first.image) / 15, np.stack([x, y], axis=-1) * 2.5], axis=-1).reshape(-1, 5)
    centres = found[np.random.default_rng(seed).choice(len(found), CHANNELS, replace=False)]
    squares = (found * found).sum(axis=1)[:, None] - 2 * found @ centres.T + (centres * centres).sum(axis=1)
    return np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True))), first.annotations[0].ravel()


def resized(features, labels, factor):
    """``factor`` times as many pixels."""
    if factor > 1:
        return np.tile(features, (factor, 1)), np.tile(labels, factor)
    step = round(1 / factor)
    return np.ascontiguousarray(features[::step]), labels[::step].copy()


# ---------------------------------------------------------------------------------------------------------- to be timed


def forward(features, labels):
    return normalized_cuts_loss(features, labels)


def both(features, labels):
    """Loss and gradient."""
    return arrmb.value_and_grad(lambda f: normalized_cuts_loss(f, labels))(features)


def on_torch(features, labels):
    import torch

    return both(torch.asarray(features), torch.asarray(labels))


def _segments(labels, dtype):
    import torch

    y = torch.nn.functional.one_hot(torch.unique(torch.asarray(labels), return_inverse=True)[1]).to(dtype)
    return y / y.sum(0).sqrt()


def torch_low_rank(features, labels):
    import torch

    f = torch.tensor(features, requires_grad=True)
    b = _segments(labels, f.dtype)
    q = torch.linalg.qr(f / torch.sqrt(f @ f.sum(0))[:, None]).Q
    loss = 0.5 * (q.shape[1] + b.shape[1]) - ((q.T @ b) ** 2).sum()
    loss.backward()
    return loss.detach(), f.grad


def torch_dense(features, labels):
    import torch

    f = torch.tensor(features, requires_grad=True)
    b = _segments(labels, f.dtype)
    w = f @ f.T
    root = 1.0 / torch.sqrt(w.sum(1))
    m = root[:, None] * w * root
    loss = 0.5 * ((torch.linalg.pinv(m, hermitian=True) @ m - b @ b.T) ** 2).sum()
    loss.backward()
    return loss.detach(), f.grad


def numpy_qr(features, labels):
    return np.linalg.qr(features)


def scipy_qr(features, labels):
    return scipy.linalg.qr(features, mode="economic", check_finite=False)


NAMES = {
    numpy_qr: "numpy.linalg.qr, thin",
    scipy_qr: "scipy.linalg.qr, economic",
    forward: "arrmb, forward",
    both: "arrmb, forward + backward",
    on_torch: "arrmb on PyTorch's tensors",
    torch_low_rank: "PyTorch, low rank",
    torch_dense: "PyTorch, dense",
}


# ------------------------------------------------------------------------------------------------------------ measuring


def timed(functions, args, rounds):
    """Seconds per function, one list each, all taking turns, and the results of a first round that does not count."""
    results = {f: f(*args) for f in functions}
    times = {f: [] for f in functions}
    for _ in range(rounds):
        for f in functions:
            start = time.perf_counter()
            f(*args)
            times[f].append(time.perf_counter() - start)
    return times, results


def peak(function, features, labels):
    """Peak bytes, resident and traced, of one call in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/features.npy", features)
        np.save(f"{folder}/labels.npy", labels)
        command = [sys.executable, __file__, "--peak", function.__name__, folder]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report_peak(name, folder):
    """The child's side of `peak`."""
    function = globals()[name]
    features, labels = np.load(f"{folder}/features.npy"), np.load(f"{folder}/labels.npy")
    function(*(x.astype(features.dtype) if x.dtype.kind == "f" else x for x in random_image(300)))  # imports, buffers
    try:
        found = resident(lambda: function(features, labels))
    except Absent:
        found = float("nan")
    tracemalloc.start()
    function(features, labels)
    print(json.dumps([found, tracemalloc.get_traced_memory()[1]]))


def exponent(sizes, costs):
    return np.polyfit(np.log(sizes), np.log(costs), 1)[0]


# --------------------------------------------------------------------------------------------------------------- tables


def cell(times):
    scale, unit = (1e3, "ms") if max(times) < 0.1 else (1.0, "s")
    low, middle, high = (scale * f(times) for f in (min, statistics.median, max))
    return f"{middle:.3g} {unit} ({low:.3g} to {high:.3g})"


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def head(title, *columns):
    print(f"\n**{title}**\n")
    row(*columns)
    print("|---" * len(columns) + "|")


def ratio(times, of):
    return f"{statistics.median(times) / statistics.median(of):.2f}"


def time_and_memory(features, labels, rounds):
    head(
        f"{len(features)} pixels, {CHANNELS} channels, {len(np.unique(labels))} segments",
        *("", "time (fastest to slowest)", "of NumPy's QR", "of SciPy's QR", "peak, resident", "peak, traced"),
    )
    for dtype in ("float32", "float64"):
        f = features.astype(dtype)
        times, _ = timed([numpy_qr, scipy_qr, forward, both], (f, labels), rounds)
        for function, t in times.items():
            copies = [f"{p / f.nbytes:.1f}" for p in peak(function, f, labels)]
            name = f"{NAMES[function]}, {dtype}"
            row(name, cell(t), ratio(t, times[numpy_qr]), ratio(t, times[scipy_qr]), *copies)


def growth(features, labels, rounds):
    head("Growth, float32, forward + backward", "pixels", "time", "µs a pixel", "peak, resident", "in copies")
    sizes, seconds, peaks = [], [], []
    for factor in GROWTH:
        f, y = resized(features.astype("float32"), labels, factor)
        t, p = timed([both], (f, y), rounds)[0][both], peak(both, f, y)[0]
        sizes, seconds, peaks = [*sizes, len(f)], [*seconds, statistics.median(t)], [*peaks, p]
        row(str(len(f)), cell(t), f"{1e6 * seconds[-1] / len(f):.2f}", f"{p / 1e6:.0f} MB", f"{p / f.nbytes:.1f}")
    print(f"\nTime grows as pixels to the power {exponent(sizes, seconds):.2f}, memory {exponent(sizes, peaks):.2f}.")


def against_torch(features, labels, rounds):
    import torch

    torch.set_num_threads(1)
    columns = ("", "time", "of arrmb's", "peak, resident", "error, loss", "error, gradient")
    cases = [
        (f"{DENSE} random pixels", *random_image(DENSE), "float32", 3, [both, on_torch, torch_low_rank, torch_dense])
    ]
    for dtype in ("float32", "float64"):
        cases.append((f"{len(features)} pixels", features, labels, dtype, rounds, [both, on_torch, torch_low_rank]))
    for title, f, y, dtype, n, functions in cases:
        head(f"PyTorch, {title}, {dtype}, forward + backward", *columns)
        loss, gradient = both(f, y)
        f = f.astype(dtype)
        times, results = timed(functions, (f, y), n)
        for function, t in times.items():
            value, grad = (np.asarray(v) for v in results[function])
            errors = abs(value / loss - 1.0), np.linalg.norm(grad - gradient) / np.linalg.norm(gradient)
            memory = f"{peak(function, f, y)[0] / 1e6:.0f} MB"
            row(NAMES[function], cell(t), ratio(t, times[both]), memory, *(f"{e:.0e}" for e in errors))
    print(f"\nOne {PIXELS} × {PIXELS} matrix of the dense way has {4e-9 * PIXELS**2:.0f} GB in float32.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder BSDS500/data: features of a real image")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        return report_peak(*options.peak)
    features, labels = real_image(options.data) if options.data else random_image()
    print("One image of BSDS500" if options.data else "Random features and labels")
    time_and_memory(features, labels, options.rounds)
    growth(features, labels, options.rounds)
    try:
        against_torch(features, labels, options.rounds)
    except ImportError:
        print("\nPyTorch is not installed: no comparison with it")


if __name__ == "__main__":
    main()
