import math

import pytest

from loopwise.codec.search.ctc.options import CtcOptions
from loopwise.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size=0: must be at least 1 and whole"),
        ({"max_units": 2.5}, "max_units=2.5"),
        ({"min_log_prob": 0.1}, "min_log_prob=0.1: must be at most 0"),
        ({"min_log_prob": math.nan}, "min_log_prob=nan"),
        ({"max_distance": 0}, "max_distance=0: must be above 0"),
        ({"sure_blank": 0}, "sure_blank=0: must be above 0"),
        ({"sure_blank": 1.1}, "sure_blank=1.1"),
    ],
)
def test_what_is_not_allowed(options, message):
    with pytest.raises(ConfigError, match=message):
        CtcOptions(**options)


def test_no_limits():
    CtcOptions(min_log_prob=-math.inf, max_distance=math.inf, sure_blank=1)
