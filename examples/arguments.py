"""Types of arguments on the command line of an example."""

import argparse
from pathlib import Path


def at_least(low):
    """An integer, not below ``low``."""

    def integer(text):
        if (number := int(text)) < low:
            raise argparse.ArgumentTypeError(f"must be {low} or more, got {number}")
        return number

    return integer


def file_to_write(text):
    """A path, before hours of work that end there: it must not be a folder."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file, and {path} is a folder")
    return path
