"""The functions of the Array API standard on traced arrays, in the standard's own categories.

Each is one op or a few. `arrmb/tape/namespace.py` offers them as the namespace of a traced array. Raw arrays are
welcome too.
"""

from . import elementwise, linear_algebra, manipulation, searching, statistical

BY_NAME = {
    name: function
    for module in (elementwise, linear_algebra, manipulation, searching, statistical)
    for name, function in vars(module).items()
    if not name.startswith("_") and getattr(function, "__module__", None) == module.__name__
}
