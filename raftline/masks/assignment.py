"""Pairs of the least total cost: the assignment problem, solved by shortest augmenting paths.

Jonker and Volgenant (1987), "A shortest augmenting path algorithm for dense and sparse linear assignment problems".
scipy.optimize solves it, too, but takes 0.4 CPU seconds of every start to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.kernels.compiled import compiled


def largest_total(gain: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs (row, column), each row and column in one at most, whose gains add up to the most.

    Args:
        gain: (N, M) float64, finite.

    Returns:
        min(N, M) pairs, in order of their rows.
    """
    rows, columns = gain.shape
    cost = np.ascontiguousarray(-gain if rows <= columns else -gain.T, np.float64)
    row_of = np.full(cost.shape[1], -1, np.int64)
    _assign(cost, row_of)
    pairs = [(int(row), column) for column, row in enumerate(row_of) if row >= 0]
    return sorted(pairs if rows <= columns else [(column, row) for row, column in pairs])


@compiled
def _assign(cost: Any, row_of: Any) -> None:
    """Write the row of each column, -1 of none, for costs (N, M) with N <= M.

    One row after the other enters by the path of least reduced cost to a column that is free; along it columns change
    their rows. The prices of rows and columns keep all reduced costs from being negative.
    """
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    distance, before, reached = np.empty(columns), np.empty(columns, np.int64), np.empty(columns, np.bool_)
    for entering in range(rows):
        distance[:] = np.inf
        reached[:] = False
        row, column, travelled = entering, -1, 0.0
        while True:
            nearest = -1
            for j in range(columns):
                if reached[j]:
                    continue
                way = travelled + cost[row, j] - row_price[row] - column_price[j]
                if way < distance[j]:
                    distance[j], before[j] = way, column
                if nearest < 0 or distance[j] < distance[nearest]:
                    nearest = j
            column, travelled = nearest, distance[nearest]
            reached[column] = True
            if row_of[column] < 0:
                break
            row = row_of[column]
        row_price[entering] += travelled
        for j in range(columns):
            if reached[j] and j != column:
                row_price[row_of[j]] += travelled - distance[j]
                column_price[j] -= travelled - distance[j]
        while column >= 0:
            previous = before[column]
            row_of[column] = entering if previous < 0 else row_of[previous]
            column = previous
