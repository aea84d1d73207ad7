"""Forecasting: from a table of series to their next values, with intervals."""
