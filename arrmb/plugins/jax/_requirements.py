"""Whether JAX is here, in a version that will do."""

from __future__ import annotations

try:
    import jax
except ImportError as error:
    raise ImportError("arrmb.plugins.jax needs JAX: pip install 'arrmb[jax]'") from error

OLDEST = "0.4.34"


def _check_version(found):
    def numbers(version):
        return [int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:3]]

    if numbers(found) < numbers(OLDEST):
        raise ImportError(
            f"arrmb.plugins.jax needs JAX {OLDEST} or later, found {found}: pip install --upgrade 'arrmb[jax]'"
        )


_check_version(jax.__version__)
