"""Compiling a preset's step for accelerators that are not there: memory, work, and step time."""
