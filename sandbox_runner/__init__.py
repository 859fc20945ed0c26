"""A judge for untrusted Python on Linux. Standard library only."""
