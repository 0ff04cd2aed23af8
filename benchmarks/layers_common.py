"""What the libraries of the benchmark have in common: why one is absent, and the memory of a call."""


class Absent(Exception):
    """What is missing, in words."""


def module(name):
    try:
        return __import__(name, fromlist=["_"])
    except ImportError as error:
        raise Absent(f"{name} is not installed ({error})") from None


def several(y):
    return y if isinstance(y, (tuple, list)) else (y,)


def wait_for_nothing():
    pass


def resident(call):
    """Bytes by which the resident memory of the process rises, at its peak, in a call. Linux only."""
    import ctypes
    import gc
    import sys

    if not sys.platform.startswith("linux"):
        raise Absent("resident memory is read from Linux's /proc")
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system: reusing it would not be seen
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak becomes what is resident now
    except (OSError, AttributeError) as error:
        raise Absent(f"the peak of resident memory cannot be reset ({error})") from None
    before = _status("VmRSS")
    call()
    return max(_status("VmHWM") - before, 0)


def _status(name):
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return 1024 * int(line.split()[1])
