"""Public matrix functions: raw or traced arrays in, the same kind out.

The linear algebra of the Array API standard under its own names and signatures, and functions beyond it. A name that ends
in "h" takes a Hermitian matrix, as in ``eigh``: its Hermitian part ``(X + X^H)/2`` is used, and gradients are Hermitian.
"""
