"""The search for sequences: predict, exclude, choose, end, go on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.search.beam import Beam
from loopwise.codec.search.constraints import forbid
from loopwise.codec.search.finished import Finished
from loopwise.codec.search.hypotheses import Hypothesis
from loopwise.codec.search.live import Live
from loopwise.codec.search.options import Search
from loopwise.codec.search.prediction import Predictor
from loopwise.codec.search.ranking import Ranking
from loopwise.codec.search.sample import Draws, generators
from loopwise.errors import ShapeError


def search(
    predictor: Predictor,
    options: Search,
    *,
    end: int,
    limits: ArrayLike,
    source_lengths: ArrayLike | None = None,
    numbers: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Seek sequences for B sentences at once, each as if it were alone.

    A sentence is done, and leaves the predictor's rows, when `beam_size` of its hypotheses have
    ended, or as soon as none that goes on could still come among its `n_best`.

    Args:
        predictor: the model, before the first token of B sentences.
        options: how to seek.
        end: id of the token that ends a sequence.
        limits: ``[B]``, at least 0, the most tokens of each sequence where ``options.max_length``
            is 0. A hypothesis that has reached it ends there.
        source_lengths: ``[B]``, how many positions of attention are the sentence's own; None for
            all.
        numbers: ``[B]``, from 0: what a sentence draws depends on ``options.sampling.seed`` and on
            its number. None to count.

    Returns:
        B lists of `n_best` hypotheses, the best first, equal ones by their ids; fewer where there
        are no more.

    Raises:
        ShapeError: if limits, lengths, numbers and predictions do not fit each other.
        ConfigError: if there is a coverage penalty and the model has no attention.
        DataError: if a log probability is NaN or +inf.
    """
    limits = _counts(limits, "limits")
    sentences = len(limits)
    own = None if source_lengths is None else _counts(source_lengths, "source_lengths", sentences)
    numbers = range(sentences) if numbers is None else numbers
    if len(numbers) != sentences:
        raise ShapeError(f"numbers: must be [{sentences}], not [{len(numbers)}]")
    if not sentences:
        return []
    if options.max_length:
        limits = np.full(sentences, options.max_length)
    if options.sampling is None:
        lanes, n_best, chooser = 1, options.n_best, Beam(options.beam_size, end)
    else:  # each sample is sought in a lane of its own
        lanes, n_best = options.n_best, 1
        chooser = Draws(options.sampling, generators(options.sampling, numbers, lanes))
    ranking = Ranking(options, limits.repeat(lanes), None if own is None else own.repeat(lanes))
    finished = Finished(sentences * lanes, n_best)
    attention = _run(predictor, chooser, ranking, finished, end, lanes)
    return [
        finished.best(
            range(i * lanes, (i + 1) * lanes), attention, None if own is None else int(own[i])
        )
        for i in range(sentences)
    ]


def _counts(given: ArrayLike, what: str, count: int | None = None) -> NDArray[np.intp]:
    values = np.asarray(given)
    if values.ndim != 1 or (count is not None and len(values) != count):
        wanted = "[B]" if count is None else f"[{count}]"
        raise ShapeError(f"{what}: must be {wanted}, not {list(values.shape)}")
    if values.size and not (np.issubdtype(values.dtype, np.integer) and values.min() >= 0):
        raise ShapeError(f"{what}: must be whole numbers of at least 0")
    return values.astype(np.intp)


def _run(
    predictor: Predictor,
    chooser: Beam | Draws,
    ranking: Ranking,
    finished: Finished,
    end: int,
    lanes: int,
) -> list[NDArray[Any]]:
    """Search in `lanes` a sentence until all are done; returns the attention of each prediction."""
    first = predictor.start().repeat(lanes)
    ranking.require(first)
    live = Live(first)
    rows_each = lanes
    while True:
        parents, tokens = _advance(live, chooser, ranking, finished, end)
        if not len(parents):
            return live.attention
        rows = (parents // rows_each).astype(np.int32)
        rows_each = 1  # the predictor's first rows are sentences
        live.extend(parents, tokens)
        live.see(predictor.step(rows, tokens.astype(np.int32)))


def _advance(
    live: Live, chooser: Beam | Draws, ranking: Ranking, finished: Finished, end: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Take what ends out of `live`; which of the others go on, and with which tokens."""
    log_probs, lanes = live.prediction.log_probs, live.lanes
    ends = log_probs[:, end].copy()
    full = live.length >= ranking.limits[lanes]
    cut = np.zeros(len(lanes), np.bool_)
    cut[full] = log_probs[full].max(axis=1) > ends[full]
    forbid(log_probs, live.ids, end, ranking.options)
    parents, tokens = chooser.choose(log_probs, np.where(full, -np.inf, live.totals), lanes)
    by_itself = tokens == end
    going = np.zeros(len(finished.counts), np.bool_)
    going[lanes[parents]] = True
    stuck = ~(full | going[lanes]) & (
        finished.counts[lanes] == 0
    )  # all that could come is excluded
    stop = full | stuck
    stop[parents[by_itself]] = True
    rows = np.flatnonzero(stop)
    scores = ranking.scores(live, rows, ends[rows])
    finished.add(live, rows, ends[rows], scores, (cut | stuck)[rows])
    parents, tokens = parents[~by_itself], tokens[~by_itself]
    best = np.full(len(finished.counts), -np.inf)
    np.maximum.at(best, lanes[parents], live.totals[parents] + log_probs[parents, tokens])
    done = (finished.counts >= chooser.size) | (finished.bars >= ranking.bounds(best))
    on = ~done[lanes[parents]]
    return parents[on], tokens[on]
