"""Sparse and matrix-free matrices: products and extremal eigenpairs, without an n × n array at any point.

What is differentiated is the vector of stored entries, ``data`` (nnz,), or the parameters of a product; the places of
the entries, a `Pattern`, are made once and have no derivative. Gradients are those of the stored entries only. NumPy's
arrays need SciPy (the extra ``scipy``), CuPy's use its own sparse routines; other backends gather and scatter, and
need SciPy for eigenpairs. Derivations: `arrmb.ops.spmm`, `arrmb.ops.eigsh`.
"""

from ..ops.pattern import Pattern
from .eigen import eigsh
from .matrix_free import eigsh_operator
from .products import matmul, sampled_matmul

__all__ = ["Pattern", "eigsh", "eigsh_operator", "matmul", "sampled_matmul"]
