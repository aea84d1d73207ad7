"""Between the world and arrays: reading text, tokenizers, choosing tokens and metrics.

NumPy only, and shared by training and deployment so that the two cannot drift apart.
"""
