"""The ops: one file per op or tight family, with derivation, forward, variation and adjoint.

An op is a plain function on arrays of any Array API namespace. ``A : B`` in the derivations is the real inner product
``Re tr(A^H B)``, so the gradient of a real loss is its direction of steepest ascent, for complex arrays too.
"""
