"""CodePRM-JAX: process reward models for code, from problems to a searched answer."""

__version__ = "0.1.0"
