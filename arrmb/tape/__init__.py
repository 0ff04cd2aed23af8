"""The tape: tracing, reverse and forward mode, nested in any order."""
