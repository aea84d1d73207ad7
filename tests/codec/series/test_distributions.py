import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, stats

from loopwise.codec.series.distributions import (
    LEVELS,
    OUTPUTS,
    Mixture,
    NegativeBinomial,
    Normal,
    Point,
    Poisson,
    Quantiles,
    StudentT,
    make_output,
    middle,
    positive,
)
from loopwise.errors import ConfigError, ShapeError

CONTINUOUS = ("quantiles", "normal", "student-t", "mixture")
COUNTED = ("negative-binomial", "poisson", "bernoulli")
KNOWING = (*CONTINUOUS, *COUNTED)

rows = st.integers(1, 4)
numbers = st.floats(-8, 8)


def drawn(data, name, elements=numbers):
    output = make_output(name)
    return output.distribution(data.draw(arrays(float, (data.draw(rows), output.size),
                                                elements=elements)))  # fmt: skip


def some(name, rows=5, seed=0):
    output = make_output(name)
    rng = np.random.default_rng(seed)
    return output.distribution(rng.normal(0, 1.5, (rows, output.size)))


def frozen(name, distribution):
    """The same in scipy."""
    d = distribution
    match name:
        case "normal":
            return stats.norm(d.loc, d.sd)
        case "student-t":
            return stats.t(d.df, d.loc, d.scale)
        case "poisson":
            return stats.poisson(d.mean())
        case "negative-binomial":
            return stats.nbinom(1 / d.dispersion, 1 / (1 + d.dispersion * d.mean()))
        case "bernoulli":
            return stats.bernoulli(d.mean())


@pytest.mark.parametrize("name", ["normal", "student-t", *COUNTED])
def test_scipy_says_the_same(name):
    ours, theirs = some(name), frozen(name, some(name))
    discrete = name in COUNTED
    y = np.arange(2 if name == "bernoulli" else 12)[:, None] * (1.0 if discrete else 0.7) - (
        0 if discrete else 3
    )
    log = theirs.logpmf(y) if discrete else theirs.logpdf(y)
    np.testing.assert_allclose(ours.nll(y), -log, rtol=1e-9)
    np.testing.assert_allclose(ours.cdf(y), theirs.cdf(y), rtol=1e-9)
    p = np.array([1e-6, 0.03, 0.3, 0.5, 0.77, 0.999])[:, None]
    np.testing.assert_allclose(ours.quantile(p), theirs.ppf(p), rtol=1e-8)
    np.testing.assert_allclose(ours.mean(), theirs.mean())


def test_a_mixture_is_the_weighted_sum_of_its_normals():
    raw = np.random.default_rng(1).normal(0, 2, (4, 9))
    mixture = Mixture(raw, 3)
    weight = np.exp(raw[:, :3]) / np.exp(raw[:, :3]).sum(1, keepdims=True)
    loc, sd = raw[:, 3:6], np.log1p(np.exp(raw[:, 6:])) + 1e-4
    y = np.linspace(-5, 5, 11)
    at = y[:, None, None]
    np.testing.assert_allclose(
        mixture.cdf(y[:, None]), (weight * stats.norm.cdf(at, loc, sd)).sum(-1)
    )
    np.testing.assert_allclose(
        mixture.nll(y[:, None]), -np.log((weight * stats.norm.pdf(at, loc, sd)).sum(-1))
    )
    np.testing.assert_allclose(mixture.mean(), (weight * loc).sum(-1))


@pytest.mark.parametrize("name", CONTINUOUS)
@given(data=st.data(), p=st.floats(1e-6, 1 - 1e-6))
def test_cdf_and_quantile_are_inverse(name, data, p):
    distribution = drawn(data, name)
    np.testing.assert_allclose(distribution.cdf(distribution.quantile(p)), p, rtol=1e-6)


@pytest.mark.parametrize("name", [*CONTINUOUS, "point"])
@given(data=st.data(), z=st.floats(-20, 20))
def test_score_and_at_score_are_inverse_far_into_the_tails(name, data, z):
    distribution = drawn(data, name, st.floats(-3, 3))
    np.testing.assert_allclose(
        distribution.score(distribution.at_score(z)), z, rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("name", COUNTED)
@given(data=st.data(), p=st.floats(1e-9, 1 - 1e-9))
def test_a_quantile_of_counts_is_the_first_to_reach_its_probability(name, data, p):
    counts = drawn(data, name)
    k = counts.quantile(p)
    assert np.all(counts.cdf(k) >= p)
    assert np.all(counts.cdf(k - 1) < p)
    np.testing.assert_array_equal(k, np.floor(k))


@pytest.mark.parametrize("name", COUNTED)
@given(data=st.data(), within=st.floats(0.01, 0.99))
def test_counts_come_back_from_anywhere_within_their_jump(name, data, within):
    counts = drawn(data, name, st.floats(-2, 4))
    k = counts.quantile(np.array([[0.01], [0.4], [0.95]]))
    np.testing.assert_array_equal(counts.at_score(counts.score(k, within)), k)


@pytest.mark.parametrize("name", COUNTED)
def test_random_places_within_the_jumps_make_scores_normal(name):
    rng = np.random.default_rng(2)
    counts = some(name, rows=1)
    scores = counts.score(counts.sample(rng, 4000), rng.random((4000, 1)))
    assert stats.kstest(scores[:, 0], "norm").pvalue > 0.01


@pytest.mark.parametrize("name", KNOWING)
@given(data=st.data())
def test_quantiles_never_cross(name, data):
    distribution = drawn(data, name, st.floats(-1e3, 1e3))
    values = distribution.quantiles(np.linspace(0, 1, 21))
    assert values.shape == (*distribution.shape, 21)
    assert not np.isnan(values).any()
    # as far as a float can tell them apart
    slack = 1e-12 * np.abs(np.where(np.isinf(values), 0, values)).max()
    inner = values[..., 1:-1]
    assert np.all(np.diff(inner) >= -slack)
    assert np.all(values[..., 0] <= inner[..., 0])
    assert np.all(values[..., -1] >= inner[..., -1])


@pytest.mark.parametrize("name", KNOWING)
def test_samples_have_the_mean_and_the_quantiles(name):
    distribution = some(name)
    draws = distribution.sample(np.random.default_rng(3), 40_000)
    assert draws.shape == (40_000, 5)
    error = draws.std(0) / 200
    np.testing.assert_allclose((draws.mean(0) - distribution.mean()) / error, 0, atol=4)
    p = np.array([0.1, 0.5, 0.9])[:, None]
    below = (draws <= distribution.quantile(p)[:, None]).mean(1)
    expected = distribution.cdf(distribution.quantile(p))
    np.testing.assert_allclose(below, expected, atol=4 * 0.5 / 200)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_density_sums_to_one_and_to_the_mean(name):
    distribution = some(name, rows=1, seed=4)
    edges = [-np.inf, *distribution.quantiles([1e-9, *LEVELS, 1 - 1e-9])[0], np.inf]
    pieces = list(itertools.pairwise(edges))

    def density(y):
        return math.exp(-float(distribution.nll(y)[0]))

    assert sum(integrate.quad(density, *piece)[0] for piece in pieces) == pytest.approx(1, abs=1e-6)
    mean = sum(integrate.quad(lambda y: y * density(y), *piece)[0] for piece in pieces)
    assert mean == pytest.approx(float(distribution.mean()[0]), abs=1e-5)


@pytest.mark.parametrize("name", COUNTED)
def test_probabilities_of_counts_sum_to_one(name):
    counts = some(name)
    k = np.arange(2 if name == "bernoulli" else 3000)[:, None]
    np.testing.assert_allclose(np.exp(-counts.nll(k)).sum(0), 1, rtol=1e-9)


def test_a_quantile_head_has_its_levels_where_its_formula_says():
    levels = (0.1, 0.4, 0.5, 0.9)
    raw = np.array([0.3, -1.0, 2.0, 0.7])
    x = stats.norm.ppf(levels)
    below = 2.0 - (x[2] - x[1]) * positive(-1.0)
    expected = [below - (x[1] - x[0]) * positive(0.3), below, 2.0,
                2.0 + (x[3] - x[2]) * positive(0.7)]  # fmt: skip
    head = Quantiles(raw, levels)
    np.testing.assert_allclose(head.values, expected)
    np.testing.assert_allclose(head.quantiles(levels), expected)
    pinball = [
        max(p * (1.5 - q), (p - 1) * (1.5 - q)) for p, q in zip(levels, expected, strict=True)
    ]
    assert head.loss(1.5) == pytest.approx(2 * np.mean(pinball))


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_equal_raw_numbers_make_a_quantile_head_normal(loc, spread):
    raw = np.full(len(LEVELS), spread)
    raw[middle(LEVELS)] = loc
    head, normal = Quantiles(raw, LEVELS), Normal([loc, spread])
    y = loc + np.linspace(-8, 8, 9) * normal.sd
    np.testing.assert_allclose(head.score(y), normal.score(y), atol=1e-9)
    np.testing.assert_allclose(head.nll(y), normal.nll(y), atol=1e-8)
    np.testing.assert_allclose(head.mean(), normal.mean(), atol=1e-9)


def test_counts_take_a_scale():
    raw = [[0.2, -0.4]]
    plain, scaled = NegativeBinomial(raw), NegativeBinomial(raw, 9.0)
    np.testing.assert_allclose(scaled.mean(), 9 * plain.mean())
    np.testing.assert_allclose(scaled.dispersion, plain.dispersion / 3)
    np.testing.assert_allclose(Poisson([[0.2]], [9.0]).mean(), 9 * plain.mean())
    with pytest.raises(ConfigError, match="only counts take one"):
        make_output("normal").distribution(raw, scale=2.0)


def test_student_t_always_has_a_variance():
    assert np.all(StudentT([[0, 0, -1e3]]).df > 2)


def test_a_point_has_only_a_mean():
    point = Point([[1.5]])
    assert point.mean() == 1.5
    assert point.loss(3.5) == 4
    asked = (
        lambda: point.cdf(0),
        lambda: point.quantile(0.5),
        lambda: point.nll(0),
        lambda: point.sample(np.random.default_rng(0), 1),
        lambda: point.quantiles([0.5]),
    )
    for ask in asked:
        with pytest.raises(ConfigError, match="before it is calibrated"):
            ask()


@pytest.mark.parametrize("name", OUTPUTS)
def test_forecasts_keep_their_shape_down_to_none(name):
    output = make_output(name)
    for shape in ((), (0,), (2, 3)):
        distribution = output.distribution(np.zeros((*shape, output.size)))
        assert distribution.shape == distribution.mean().shape == shape
        assert distribution.score(1.0).shape == distribution.at_score(0.3).shape == shape
        assert distribution.loss(1.0).shape == shape
        if name != "point":
            assert distribution.quantiles([0.1, 0.9]).shape == (*shape, 2)
            assert distribution.sample(np.random.default_rng(0), 4).shape == (4, *shape)
    with pytest.raises(ShapeError, match=f"must be \\[..., {output.size}\\]"):
        output.distribution(np.zeros((2, output.size + 1)))


@pytest.mark.parametrize("name", KNOWING)
def test_nan_gives_nan(name):
    distribution = some(name)
    for answer in (distribution.cdf, distribution.score, distribution.at_score, distribution.nll,
                   distribution.quantile, distribution.loss):  # fmt: skip
        assert np.isnan(answer(np.nan)).all(), answer
    broken = make_output(name).distribution(np.full((1, make_output(name).size), np.nan))
    assert np.isnan(broken.quantile(0.3)).all()
    assert np.isnan(broken.mean()).all()


@pytest.mark.parametrize("name", KNOWING)
def test_probabilities_are_from_0_to_1(name):
    for p in (-0.1, 1.5):
        with pytest.raises(ConfigError, match="must be from 0 to 1"):
            some(name).quantile(p)


def test_outputs_by_name():
    assert make_output("quantiles").levels == LEVELS
    assert make_output("quantiles", levels=(0.1, 0.9)).size == 2
    assert make_output("mixture", components=5).size == 15
    assert [name for name in OUTPUTS if make_output(name).counts] == list(COUNTED)
    with pytest.raises(ConfigError, match="normal"):
        make_output("normol")
    for levels in ((0.5,), (0.5, 0.5), (0.0, 0.5), (0.2, 1.0), (0.9, 0.1), (math.nan, 0.5), ()):
        with pytest.raises(ConfigError, match="at least 2 numbers"):
            make_output("quantiles", levels=levels)
    for components in (0, 1.5, True):
        with pytest.raises(ConfigError, match="at least 1 and whole"):
            make_output("mixture", components=components)
    with pytest.raises(ConfigError, match="only 'mixture'"):
        make_output("normal", components=2)
    with pytest.raises(ConfigError, match="only 'quantiles'"):
        make_output("normal", levels=(0.1, 0.9))
