"""The hypotheses that have ended, the best of each lane."""

from bisect import insort
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.hypotheses import Hypothesis
from loopwise.codec.search.live import Live


class Finished:
    """What has ended in each lane.

    Attributes:
        counts: ``[lanes]``, how many ended.
        bars: ``[lanes]``, the score that another must exceed to be among the `n_best`; -inf where
            there are not as many yet.

    Args:
        lanes: how many.
        n_best: how many are kept of each, the best; of equal ones those with the smaller ids.
    """

    def __init__(self, lanes: int, n_best: int):
        self.counts = np.zeros(lanes, np.intp)
        self.bars = np.full(lanes, -np.inf)
        self._n_best = n_best
        self._kept: list[list[_Ended]] = [[] for _ in range(lanes)]

    def add(
        self,
        live: Live,
        rows: NDArray[np.intp],
        ends: NDArray[Any],
        scores: NDArray[Any],
        cut: NDArray[np.bool_],
    ) -> None:
        """Add hypotheses `rows` [F], of which `live` has the tokens.

        Args:
            live: the hypotheses.
            rows: ``[F]``, which of them have ended.
            ends: ``[F]``, the log probabilities of the end token there.
            scores: ``[F]``, theirs.
            cut: ``[F]``, see `Hypothesis`.
        """
        lanes = live.lanes[rows]
        self.counts += np.bincount(lanes, minlength=len(self.counts))
        for i in np.flatnonzero(scores >= self.bars[lanes]):
            row, kept = rows[i], self._kept[lanes[i]]
            ended = _Ended(
                float(scores[i]),
                float(live.totals[row] + ends[i]),
                live.ids[row],
                np.append(live.log_probs[row], ends[i].astype(np.float32)),
                live.origins[row],
                bool(cut[i]),
            )
            insort(kept, ended, key=_Ended.rank)
            del kept[self._n_best :]
            if len(kept) == self._n_best:
                self.bars[lanes[i]] = kept[-1].score

    def best(
        self, lanes: range, attention: list[NDArray[Any]], positions: int | None
    ) -> list[Hypothesis]:
        """The hypotheses of some lanes, the best first.

        Args:
            lanes: which ones.
            attention: of each prediction; empty from a model without.
            positions: how many of the source's are these lanes' own; None for all.
        """
        kept = sorted((ended for lane in lanes for ended in self._kept[lane]), key=_Ended.rank)
        return [ended.hypothesis(attention, positions) for ended in kept]


@dataclass(frozen=True, eq=False)
class _Ended:
    """A hypothesis whose attention has yet to be gathered from its `origins`; see `Live`."""

    score: float
    total: float
    ids: NDArray[np.int32]
    log_probs: NDArray[np.float32]
    origins: NDArray[np.int32]
    cut: bool

    def rank(self) -> tuple[float, list[int]]:
        return -self.score, self.ids.tolist()

    def hypothesis(self, attention: list[NDArray[Any]], positions: int | None) -> Hypothesis:
        weights = None
        if attention:
            rows = [
                each[[row], :positions] for each, row in zip(attention, self.origins, strict=False)
            ]
            weights = np.concatenate([attention[0][:0, :positions], *rows])
        return Hypothesis(self.ids, self.total, self.score, self.log_probs, weights, self.cut)
