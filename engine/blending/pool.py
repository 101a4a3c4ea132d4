"""What several runs say of each image, laid side by side label by label, so that it can be added up quickly and often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.inference.answers import Ranked
from engine.inference.record import KEPT


@dataclass(frozen=True)
class Pool:
    """For each image all labels that any run names (N, G), -1 where there are fewer, and what each run gives: (N, G, P)."""

    codes: np.ndarray
    values: np.ndarray

    @staticmethod
    def of(runs: Sequence[Ranked], names: np.ndarray) -> Pool:
        """`names`: all labels, sorted; a code is a place in it."""
        named = [np.where(one.labels == "", -1, np.searchsorted(names, one.labels)) for one in runs]
        codes = np.concatenate(named, axis=1)
        given = np.concatenate([one.scores for one in runs], axis=1)
        run = np.repeat(np.arange(len(runs)), [one.labels.shape[1] for one in runs])
        order = np.argsort(codes, axis=1, kind="stable")
        codes, given = np.take_along_axis(codes, order, axis=1), np.take_along_axis(given, order, axis=1)
        slot = np.cumsum(np.diff(codes, axis=1, prepend=codes[:, :1]) != 0, axis=1)  # equal codes share one
        rows = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)
        pooled = np.full((len(codes), int(slot.max()) + 1), -1)
        values = np.zeros((*pooled.shape, len(runs)), np.float32)
        pooled[rows, slot] = codes
        values[rows, slot, run[order]] = np.where(codes < 0, 0, given)
        return Pool(pooled, values)

    def mixed(self, weights: np.ndarray, rows: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """The best KEPT labels of the images `rows` under `weights` (P,), and their scores; -1 and -inf fill them up."""
        codes = self.codes[rows]
        scores = np.where(codes < 0, -np.inf, self.values[rows] @ weights.astype(np.float32)).astype(np.float32)
        if codes.shape[1] > KEPT:
            best = np.sort(np.argpartition(-scores, KEPT - 1, axis=1)[:, :KEPT], axis=1)
            codes, scores = np.take_along_axis(codes, best, axis=1), np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")  # of equal scores the earlier name first
        codes, scores = np.take_along_axis(codes, order, axis=1), np.take_along_axis(scores, order, axis=1)
        wide = ((0, 0), (0, KEPT - codes.shape[1]))
        return np.pad(codes, wide, constant_values=-1), np.pad(scores, wide, constant_values=-np.inf)
