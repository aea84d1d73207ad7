"""Torch-free inference: a bundle read from disk, its model in NumPy, and sessions that stream."""
