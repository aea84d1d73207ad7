"""Sequences from a model that predicts one token after another.

`options` says how they are sought, `sequences.search` seeks them in any `prediction.Predictor`, and
each that it finds is a `hypotheses.Hypothesis`. `sample.sample` draws a single token.
"""
