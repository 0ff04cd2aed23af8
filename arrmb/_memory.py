"""Memory that arrays have freed stays at hand for the next ones.

The C library of Linux (glibc) gives freed memory back to the system above a threshold. It raises the threshold, up to
32 MiB, to the size of the largest block freed so far, as does the first large array that a program drops: until then a
pass gives back and asks again, page by page, for all its arrays, which can take as long as the pass itself. One block
of that size, never written to, sets the threshold from the start. At most twice as much stays at hand.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD; whoever sets these keeps what they set. Other C libraries do
as they did.
"""

import numpy as np

LARGEST = 2**25 - 2**13  # bytes: with its header the block is not above 32 MiB


def keep_at_hand():
    np.empty(LARGEST, dtype=np.uint8)
