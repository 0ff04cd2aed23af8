"""Functions of arrmb as functions of other frameworks: `arrmb.plugins.chainer`, `.torch` and `.jax`.

None is imported before you do it; each needs its framework, and says which extra installs it.
"""
