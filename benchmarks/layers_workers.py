"""One process per library, which the command calls in turn.

The thread pools of OpenBLAS, MKL and XLA neither meet in one process nor run at the same time, each process has its own
peak of memory, and the number of threads is set in the environment before a library is imported. On Linux a process
with fewer threads than there are cores may use only as many cores: all libraries the same ones.
"""

import multiprocessing
import os
import time
import traceback
import warnings

SAMPLE = 10**6  # entries of a result that are compared
LONG = 0.1  # seconds: what such a call finds in the cache does not matter
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Missing(Exception):
    """A library does not take part, for the reason in the message."""


def cores():
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class Worker:
    """A library in a process of its own; ``worker.method(...)`` is the method of `Session` there."""

    def __init__(self, library, backend, device, threads):
        context = multiprocessing.get_context("spawn")
        self.name = library
        self.pipe, theirs = context.Pipe()
        before = {name: os.environ.get(name) for name in VARIABLES}
        os.environ.update(dict.fromkeys(VARIABLES, str(threads)))
        self.process = context.Process(target=_serve, args=(theirs, library, backend, device, threads), daemon=True)
        try:
            self.process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        theirs.close()
        self.version = self._reply()

    def __getattr__(self, method):
        def call(*args):
            self.pipe.send((method, args))
            return self._reply()

        return call

    def _reply(self):
        try:
            kind, value = self.pipe.recv()
        except EOFError:
            raise Missing(f"its process ended (exit status {self.process.exitcode}): out of memory?") from None
        if kind == "missing":
            raise Missing(value)
        if kind == "error":
            raise RuntimeError(f"{self.name}:\n{value}")
        return value

    def close(self):
        self.pipe.close()  # the process ends at the end of its pipe
        self.process.join(10)
        if self.process.is_alive():
            self.process.terminate()


def _serve(pipe, library, backend, device, threads):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[-threads:])
    warnings.simplefilter("ignore")
    from layers_common import Absent

    try:
        session = Session(library, backend, device, threads)
        pipe.send(("value", session.lib.version))
    except Absent as reason:
        return pipe.send(("missing", str(reason)))
    while True:
        try:
            method, args = pipe.recv()
        except EOFError:
            return None
        try:
            reply = "value", getattr(session, method)(*args)
        except Absent as reason:
            reply = "missing", str(reason)
        except Exception:
            reply = "error", traceback.format_exc()
        try:
            pipe.send(reply)
        except BrokenPipeError:  # the command has ended
            return None


class Session:
    """What a worker does; one case at a time."""

    def __init__(self, library, backend, device, threads):
        from layers_libraries import make

        self.lib = make(library, backend, device, threads)
        # With several threads: until those of the library before are asleep, and then calls until the system has given
        # each thread a core of its own again.
        self.pause = 0.05 if threads > 1 else 0.0

    def prepare(self, case, size, dtype):
        """Make the case ready; returns what is compared between libraries (None of the floor)."""
        from layers_cases import CASES

        self.calls, self.compiled = None, set()
        case = CASES[case]
        self.calls = case.calls(self.lib, size, dtype)
        if self.lib.name == "floor":
            return None
        found = case.comparable(self.lib, self.calls)
        self.compiled.add("forward + backward")
        return [y.reshape(-1)[:: max(1, y.size // SAMPLE)] for y in found]

    def first(self, mode):
        """Seconds of a call after the one that compiles."""
        if mode not in self.compiled:
            self.calls[mode]()
        start = time.perf_counter()
        self.calls[mode]()
        return time.perf_counter() - start

    def turn(self, mode, repeats, clock):
        """Seconds of a call, the mean of ``repeats``, after some that bring data and threads back where that counts."""
        call = self.calls[mode]
        now = time.process_time if clock == "cpu" else time.perf_counter
        time.sleep(self.pause)
        start = now()
        call()
        if repeats == 1 and now() - start > LONG:
            return now() - start
        while self.pause and now() - start < LONG:
            call()
        start = now()
        for _ in range(repeats):
            call()
        return (now() - start) / repeats

    def memory(self, mode):
        """Bytes that a call needs beyond what is there before it."""
        return self.lib.memory(self.calls[mode])

    def threads(self):
        """The cores that this process may use, where the system says so; else the threads that it was told to use."""
        return len(cores()) if hasattr(os, "sched_setaffinity") else int(os.environ[VARIABLES[0]])

    def engine(self, rounds):
        """Ratio of the times of the engine's benchmark, PyTorch's to arrmb's, in this process."""
        import engine
        from layers_common import Absent

        found = engine.run(rounds)
        if "torch" not in found:
            raise Absent("torch is not installed")
        return found["torch"] / found["arrmb"]
