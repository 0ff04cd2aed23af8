"""The pattern of a sparse matrix: where its stored entries are. A helper of the sparse ops, not an op.

The entries themselves, ``data`` (nnz,), are what is differentiated; places have no derivative. The order of ``data`` is
the user's own; `Pattern` has the permutations from it to rows (CSR), to the transpose, and to mirrored entries.
"""

import functools

import numpy as np

from .._xp import device, namespace


class Pattern:
    """Places of the stored entries of a sparse matrix, made once and used with any number of vectors of entries.

    Parameters
    ----------
    matrix : sparse array or sparse matrix of SciPy or CuPy, in CSR, CSC or COO format
        Its pattern is taken, including places where a zero is stored; its values are not kept. Entry ``e`` of a
        vector of entries belongs to the place of ``matrix.data[e]``, so ``matrix.data`` itself is one.

    Attributes
    ----------
    shape : tuple of int
    nnz : int
        Number of stored entries.
    rows, columns : NumPy integer arrays (nnz,)
        Their places, in the order of the entries.

    Raises
    ------
    TypeError
        ``matrix`` is not such an array.
    ValueError
        A place is stored twice.
    """

    def __init__(self, matrix):
        form = getattr(matrix, "format", None)
        if form not in ("csr", "csc", "coo") or not hasattr(matrix, "tocoo") or len(matrix.shape) != 2:
            kind = f"a sparse array in {form} format" if form is not None else f"an object of {type(matrix).__name__}"
            raise TypeError(
                f"Pattern: matrix must be a sparse array of SciPy or CuPy in CSR, CSC or COO format, got {kind}: "
                "convert it with matrix.tocsr(), or a dense array with scipy.sparse.csr_array(array)"
            )
        if form == "coo":
            rows, columns = matrix.row, matrix.col
        else:
            ends = _host(matrix.indptr)
            places = np.repeat(np.arange(ends.shape[0] - 1, dtype=matrix.indices.dtype), np.diff(ends))
            rows, columns = (places, matrix.indices) if form == "csr" else (matrix.indices, places)
        self._set(_host(rows), _host(columns), tuple(int(n) for n in matrix.shape))

    def _set(self, rows, columns, shape):
        small = max(*shape, rows.shape[0]) < 2**31 - 1
        self.rows = np.array(rows, dtype=np.int32 if small else np.int64)
        self.columns = np.array(columns, dtype=self.rows.dtype)
        self.shape, self.nnz = shape, int(rows.shape[0])
        self._held = {}
        places = self._sorted_places(self.rows, self.columns, shape[1])[0]
        twice = np.flatnonzero(places[1:] == places[:-1])
        if twice.shape[0]:
            i, j = divmod(int(places[twice[0]]), shape[1])
            raise ValueError(
                f"Pattern: matrix stores {twice.shape[0]} entries at a place that has one already, the first at "
                f"({i}, {j}): call matrix.sum_duplicates() first"
            )

    def __repr__(self):
        return f"Pattern(shape={self.shape}, nnz={self.nnz})"

    @staticmethod
    def _sorted_places(rows, columns, width):
        places = rows.astype(np.int64) * width + columns
        order = np.argsort(places, kind="stable")
        return places[order], order

    @functools.cached_property
    def csr(self):
        """``order``, ``indices``, ``ends``: entries ``order`` by rows, their columns, and where rows end (indptr)."""
        order = self._sorted_places(self.rows, self.columns, self.shape[1])[1].astype(self.rows.dtype)
        ends = np.zeros(self.shape[0] + 1, dtype=self.rows.dtype)
        ends[1:] = np.cumsum(np.bincount(self.rows, minlength=self.shape[0]))
        return order, self.columns[order], ends

    @functools.cached_property
    def transpose(self):
        """The pattern of the transpose, for the same order of entries."""
        other = object.__new__(Pattern)
        other.rows, other.columns, other.shape, other.nnz = self.columns, self.rows, self.shape[::-1], self.nnz
        other._held = {}
        return other

    @functools.cached_property
    def mirror(self):
        """For each entry, the number of that at the mirrored place; None if one is missing or the shape not square."""
        if self.shape[0] != self.shape[1]:
            return None
        here, order = self._sorted_places(self.rows, self.columns, self.shape[1])
        there, mirrored = self._sorted_places(self.columns, self.rows, self.shape[1])
        if not np.array_equal(here, there):
            return None
        found = np.empty_like(order)
        found[mirrored] = order
        return found.astype(self.rows.dtype)

    def lonely(self):
        """A stored place (i, j) without a stored (j, i)."""
        here = self.rows.astype(np.int64) * self.shape[1] + self.columns
        there = self.columns.astype(np.int64) * self.shape[1] + self.rows
        e = int(np.flatnonzero(~np.isin(there, here))[0])
        return int(self.rows[e]), int(self.columns[e])

    def on(self, like, name):
        """The index array ``name`` on the backend and device of the raw array ``like``; made once for each."""
        found = self.csr["order indices ends".split().index(name)] if name in _CSR else getattr(self, name)
        xp, place = namespace(like), device(like)
        if xp.__name__ == "array_api_compat.numpy":
            return found
        key = name, xp.__name__, str(place)
        if key not in self._held:
            self._held[key] = xp.asarray(found, device=place)
        return self._held[key]


_CSR = ("order", "indices", "ends")


def _host(x):
    return x.get() if hasattr(x, "get") else np.asarray(x)  # of CuPy, NumPy
