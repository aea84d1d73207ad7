"""How closely a diagnosis looks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What costs time.

    Attributes:
        rows: whose influence of the past is followed, the longest.
        directions: random ones for each of these rows.
        exact: sizes up to which matrices are taken apart as a whole, not estimated.
        products: with a vector, that an estimate of eigenvalues gets.
        points: steps at which the Jacobian is looked at.
        exponents: Lyapunov exponents that are followed.
        steps: over how many, the last ones; the first quarter only aligns the directions.
    """

    rows: int
    directions: int
    exact: int
    products: int
    points: int
    exponents: int
    steps: int


GLANCE = Effort(rows=4, directions=1, exact=0, products=0, points=0, exponents=0, steps=0)
"""While a training goes on: without spectra."""
QUICK = Effort(rows=8, directions=1, exact=64, products=16, points=2, exponents=2, steps=24)
"""The default: with a step of training around it about three times that step."""
THOROUGH = Effort(rows=32, directions=8, exact=700, products=128, points=8, exponents=8, steps=256)
"""Seconds for a large model, and exact spectra."""
