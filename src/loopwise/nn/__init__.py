"""Recurrent torch modules: the definition of every cell, layers, and the seam to fast kernels."""
