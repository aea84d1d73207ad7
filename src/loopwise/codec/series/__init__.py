"""Between tables of time series and arrays: panels, frequencies, calendars, tables in and out."""
