"""A forecaster that many tests ask and none changes."""

import pytest

from tasks.forecast.estimators import forecaster, table


@pytest.fixture(scope="module")
def model():
    return forecaster().fit(table())
