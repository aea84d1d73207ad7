import pytest

from loopwise.codec.search.options import Sampling, Search
from loopwise.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size=0: must be at least 1 and whole"),
        ({"beam_size": 2.0}, "beam_size=2.0: must be at least 1 and whole"),
        ({"beam_size": True}, "beam_size=True: must be at least 1 and whole"),
        ({"n_best": 0}, "n_best=0: must be at least 1 and whole"),
        ({"beam_size": 2, "n_best": 3}, "n_best=3: must be at most beam_size=2"),
        ({"length_penalty": -0.1}, "length_penalty=-0.1: must be finite and at least 0"),
        ({"length_penalty": float("inf")}, "length_penalty=inf: must be finite and at least 0"),
        ({"coverage_penalty": float("nan")}, "coverage_penalty=nan: must be finite and at least 0"),
        ({"block_ngram": -1}, "block_ngram=-1: must be at least 0 and whole"),
        ({"min_length": "2"}, "min_length='2': must be at least 0 and whole"),
        ({"max_length": -1}, "max_length=-1: must be at least 0 and whole"),
        ({"min_length": 3, "max_length": 2}, "max_length=2: must be at least min_length=3"),
        ({"sampling": True}, "sampling=True: must be a Sampling or None"),
        ({"sampling": Sampling(), "beam_size": 2}, "beam_size=2: must be 1 where tokens are drawn"),
    ],
)
def test_options_outside_their_range_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        Search(**options)


def test_what_is_allowed():
    Search(beam_size=3, n_best=3, min_length=2, max_length=2)
    Search(min_length=3)  # the limit is the caller's
    Search(n_best=5, sampling=Sampling(top_k=3))
