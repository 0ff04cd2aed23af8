"""The text of ``docs/exactness.md``, with the tables of `exactness.py`."""

import numpy as np
from exactness_cases import CONDITIONS, GAPS, ON_TORCH, ROWS

import arrmb

COLUMNS = (0.0, 1e-16, 1e-12, 1e-8, 1e-4, 1e-2, 1.0)

PAGE = """# Exactness

The relative error of gradients, over the gaps between eigenvalues and over condition numbers: arrmb {arrmb_version} and
the peers that it is chosen over, {versions}. `make exactness` measures it and writes this page.

**The result.** Where the gradient exists, arrmb's error does not depend on the gap: at most {worst_first} in double
precision from exact ties to a gap of 1, and {worst_second} at second order. A gradient through `eigh` or `svd` has the
error ε/gap, an Hessian product ε/gap², and NaN or noise at ties. Where a projector is
not defined, arrmb raises (on a GPU, which is not made to wait for a check, the result is NaN).

| function, double precision | arrmb, worst of all gaps | its 2nd order | {peer_heads} |
|---|---|---|{peer_rules}
{summary}

## What is measured

The gradient of ⟨G, F(X)⟩, G random, for functions F that do not depend on the choice of eigenvectors: then the
gradient exists at any gap. Its error is ‖found - truth‖ / ‖truth‖ in the Frobenius norm. The truth is computed with
mpmath, in 90 digits of which more than 50 are left in the end, at the very matrix that the libraries are given, after
rounding to their precision (`tests/oracles.py`; no code in common with arrmb's). Peers compute the same loss through
`eigh` or `svd`, which is all that they offer for it, save for the exponential and the square root (below); of their
gradients with respect to a symmetric matrix, the symmetric part counts.

- Symmetric 6 × 6 matrices have the eigenvalues ¼(1, 1 + g, 1 + 2g), (1, 1 + g), 4 for a gap g; 6 × 4 matrices the
  singular values ½(1, 1 + g, 1 + 2g), 2; features for pooling ½(1, 1 + g, 1 + 2g), 2(1, 1 + g), 8. With F 4 × 6, the
  first four, and F^T F + 0.001 I has the eigenvalue 0.001 twice, whatever the gap.
- Gap 0 is an exact tie. Eigenvectors with dyadic entries make the product of the factors exact in both precisions.
  Below 1e-15 (single precision: 1e-7) the rounding of the matrix splits a group, and the gap is only its nominal one.
- {matrices} random matrices for each gap. Tables have the median, and in brackets the worst. "NaN 2/{matrices}": that
  many of them have NaN or infinite entries, which the numbers beside it leave out.
- The rounding floor, dotted in the pictures, is ε (4 √n + κ): ε is the machine epsilon, 4 √n stands for the rounding of
  the four products in V (K ∘ (V^T G V)) V^T, and κ = ‖X‖ ‖D²(G, ·)‖ / ‖L(G)‖ is the condition number of the gradient
  itself, L(G), in the root mean square over directions: a stable eigensolver decomposes a matrix that is ε‖X‖ away.
  Nowhere on this page is arrmb's error more than {worst_ratio} times the floor; tests allow 10.

## Ties and near ties, double precision

![Error over the gap, one panel per function](exactness_gaps.png)

{gaps}

`top_projector(x, 2)` has its gap between the two groups: its derivative grows as 1/gap, and its condition number with
it, so that all lose digits alike. Without a gap there is no projector: arrmb raises as soon as rounding could have
made the gap (n ε ‖X‖), where the peers return numbers. With F 4 × 6, a tie is there at every gap, which is the common
case of pooling: fewer locations than channels.

### Second order

Products of the Hessian with a random direction.

{second}

### Peers' functions without eigenvalues

PyTorch and JAX have the exponential of general matrices, autograd the square root. These do not go through eigenvalues,
and ties do not matter to them.

{others}

## Ties and near ties, single precision

![Error over the gap in single precision](exactness_gaps_float32.png)

NumPy decomposes single precision in double, and so does autograd on NumPy; arrmb, PyTorch and JAX decompose it in
single precision, on all arrays, which is up to twice as fast.

{single}

## Condition numbers

![Error over the condition number](exactness_conditions.png)

Distinct eigenvalues from 1/κ to 1, their logarithms equally spaced (of F^T F, for pooling): whether exactness at ties
costs anything elsewhere. It does not. The derivative of a logarithm or of a root depends mostly on the smallest
eigenvalue, which an eigensolver finds to ε‖X‖: the error ε κ is in the problem, and all have it. For `expmh` and
pooling, the small eigenvalues are near ties in the absolute sense, and peers divide by their gaps.

{conditions}
"""


def sci(x):
    if x == 0.0:
        return "0"
    return f"{x:.1e}".replace("e-0", "e-").replace("e+00", "e0").replace("e+0", "e").replace("e+", "e")


def worst(found, row, order):
    errors = [getattr(e, order)["arrmb"] for gap in GAPS for e in found["gap", row.name, gap, "float64"]]
    return max(e for e in errors if e is not None)


def ratio(found):
    """Largest error of arrmb, on NumPy or PyTorch, in units of the rounding floor."""
    every = [e for errors in found.values() for e in errors]
    return max(v / e.floor for e in every for k, v in e.first.items() if k in ("arrmb", ON_TORCH) and v is not None)


def page(found, libraries, matrices, table, others):
    names = [lib.name for lib in libraries]
    flat = [row for row in ROWS if not row.genuine]
    lines = []
    for row in flat:
        cells = [sci(worst(found, row, order)) for order in ("first", "second")]
        for gap in (1e-12, 1e-6):
            for name in names:
                errors = [e.first[name] for e in found["gap", row.name, gap, "float64"]]
                cells.append(sci(np.median([v for v in errors if v is not None and np.isfinite(v)])))
        lines.append(f"| `{row.name}` | **{cells[0]}** | **{cells[1]}** | " + " | ".join(cells[2:]) + " |")
    single = ["arrmb", *([ON_TORCH] if "PyTorch" in names else []), *names]
    by_condition = [row for row in ROWS if row.by_condition]
    return PAGE.format(
        arrmb_version=arrmb.__version__,
        versions=", ".join(f"{lib.name} {lib.version}" for lib in libraries) or "none of which is installed",
        worst_first=sci(max(worst(found, row, "first") for row in flat)),
        worst_second=sci(max(worst(found, row, "second") for row in flat)),
        worst_ratio=f"{ratio(found):.1f}",
        peer_heads=" | ".join(f"{name}, gap {label}" for label in ("1e-12", "1e-6") for name in names),
        peer_rules="---|" * (2 * len(names)),
        summary="\n".join(lines),
        matrices=matrices,
        others=others,
        gaps=table(found, "gap", "float64", "first", ["arrmb", *names], COLUMNS, ROWS),
        second=table(found, "gap", "float64", "second", ["arrmb", *names], COLUMNS, ROWS),
        single=table(found, "gap", "float32", "first", single, COLUMNS, ROWS),
        conditions=table(found, "condition", "float64", "first", ["arrmb", *names], CONDITIONS[1::2], by_condition),
    )
