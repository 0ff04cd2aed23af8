"""Saving and loading of parameters: pytrees of arrays in safetensors files, never pickle.

A file holds one entry per leaf, under its path in the tree (``"trunk.0.weight"``), and no code. Any tool that reads
safetensors reads it. Complex arrays are stored with a last axis of two: real and imaginary parts.
"""

from __future__ import annotations

import os

import numpy as np

from . import tree
from ._xp import device, is_array, is_complex, is_traced, namespace

_NUMBERS = (bool, int, float, complex)


def save(path, params):
    """Write a pytree of arrays and numbers to a safetensors file.

    Parameters
    ----------
    path : str or path-like
        The file; one that exists is replaced.
    params : pytree of arrays of any backend and of Python numbers
        Parameters, or the state of an optimiser.

    Raises
    ------
    ImportError
        safetensors is not installed.
    TypeError
        A leaf is neither an array nor a number, or is traced.
    ValueError
        Two leaves have the same path (a dict key with a dot in it can lead to that).
    """
    safetensors = _safetensors()
    entries = {}
    for name, leaf in zip(_names(params), tree.flatten(params)[0]):
        if name in entries:
            raise ValueError(f"save: two entries are named {name!r}; avoid dots in dict keys")
        if is_traced(leaf):
            raise TypeError(f"save: {name!r} is a traced array; save outside of the differentiated function")
        if not isinstance(leaf, _NUMBERS) and not is_array(leaf):
            raise TypeError(f"save: {name!r} must be an array or a number, got {type(leaf).__name__}")
        entries[name] = _as_stored(leaf)
    safetensors.save_file(entries, os.fspath(path))


def load(path, like):
    """Read a pytree that `save` wrote.

    Parameters
    ----------
    path : str or path-like
    like : pytree of arrays and Python numbers
        What the result looks like, for instance a freshly initialised model: structure and shapes must be those of the
        file, and each entry comes in the dtype and on the backend and device of its counterpart here.

    Returns
    -------
    pytree

    Raises
    ------
    ImportError
        safetensors is not installed.
    FileNotFoundError
        There is no such file.
    ValueError
        Entries are missing in the file, left over in it, or of another shape. The message names them.
    TypeError
        An entry is of another kind (floating-point, integer, boolean).
    """
    safetensors = _safetensors()
    if not os.path.isfile(path):
        raise FileNotFoundError(f"load: no file {os.fspath(path)!r}")
    entries = safetensors.load_file(os.fspath(path))
    leaves, structure = tree.flatten(like)
    names = _names(like)
    _check(entries, dict(zip(names, leaves)))
    return structure.unflatten([_restored(entries[name], leaf) for name, leaf in zip(names, leaves)])


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError("saving and loading need safetensors: pip install 'arrmb[io]'") from None
    return safetensors.numpy


def _names(params):
    return [name or "value" for name in tree.paths(params)]  # a bare array has the empty path


def _check(entries, expected):
    problems = [f"{name!r} is missing in the file" for name in expected if name not in entries]
    problems += [f"{name!r} is in the file only" for name in entries if name not in expected]
    for name in entries.keys() & expected.keys():
        there, here = entries[name].shape, _stored_shape(expected[name])
        if there != here:
            problems.append(f"{name!r} has shape {there} in the file, {here} is needed")
    if problems:
        raise ValueError("load: the file does not fit: " + "; ".join(sorted(problems)))
    for name, leaf in expected.items():
        there, here = entries[name].dtype, _stored_kind(leaf)
        if there.kind != here:
            kinds = {"f": "floating-point", "i": "integer", "u": "unsigned integer", "b": "boolean"}
            raise TypeError(f"load: {name!r} is of dtype {there} in the file, {kinds.get(here, here)} is needed")


def _stored_shape(leaf):
    shape = () if isinstance(leaf, _NUMBERS) else tuple(leaf.shape)
    return (*shape, 2) if is_complex(leaf) else shape


def _stored_kind(leaf):
    if isinstance(leaf, _NUMBERS):
        return np.asarray(leaf).dtype.kind.replace("c", "f")
    xp = namespace(leaf)
    kinds = {"bool": "b", "signed integer": "i", "unsigned integer": "u"}
    return next((kind for name, kind in kinds.items() if xp.isdtype(leaf.dtype, name)), "f")


def _as_stored(leaf):
    x = np.asarray(leaf) if isinstance(leaf, _NUMBERS) else _to_numpy(leaf)
    if x.dtype.kind == "c":
        x = np.stack([x.real, x.imag], axis=-1)
    return np.array(x, order="C")  # safetensors writes the memory as it lies


def _restored(x, like):
    if is_complex(like):
        x = np.array(x, order="C").view(np.result_type(x.dtype, np.complex64))[..., 0]
    if isinstance(like, _NUMBERS):
        return type(like)(x.item())
    return namespace(like).asarray(np.array(x), dtype=like.dtype, device=device(like))


def _to_numpy(x):
    """A copy on the host. Reading parameters back is what saving is: the one place where a device is waited for."""
    if hasattr(x, "detach"):  # PyTorch, which keeps requires_grad and pending conjugations on the tensor
        return x.detach().cpu().resolve_conj().resolve_neg().numpy()
    import array_api_compat

    try:
        return np.asarray(array_api_compat.to_device(x, "cpu"))  # NumPy and CuPy
    except ValueError:
        target = {"device": "cpu"} if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else {}
        return np.from_dlpack(namespace(x).asarray(x, copy=True), **target)
