"""Where a series steps: against every partition of short ones, by how soon a step is found, and by what is none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest

from vqa_cli.history.steps import fit_levels, huber_location, noise_of, price_of, weights_of

NONE = (None,) * 1000


def edges(values: Sequence[float] | np.ndarray, errors: Sequence[float | None] = NONE) -> list[int]:
    return [level.start for level in fit_levels(list(values), errors[: len(values)], 1e-6)]


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count)


def stepping(size: float, place: int, count: int, seed: int) -> np.ndarray:
    return noise(count, seed) + np.where(np.arange(count) >= place, size, 0.0)


def told_after(values: np.ndarray, place: int) -> int:
    """How many runs after a step it is seen, as CI would: with what was known by then."""
    return next((n for n in range(len(values) - place) if len(edges(values[: place + n + 1])) > 1), len(values))


def loss(deviation: float) -> float:
    """Huber's, with its knee at two units of noise, written out."""
    return deviation**2 / 2 if abs(deviation) <= 2 else 2 * abs(deviation) - 2


def least_loss(y: np.ndarray, weights: np.ndarray) -> float:
    """Of one level: by trying a hundred thousandth of the range after the other, from coarse to fine."""
    low, high = float(y.min()), float(y.max())
    for _ in range(6):
        tried = np.linspace(low, high, 41)
        costs = [sum(loss(w * (v - level)) for v, w in zip(y, weights, strict=True)) for level in tried]
        best = int(np.argmin(costs))
        low, high = float(tried[max(0, best - 1)]), float(tried[min(40, best + 1)])
    return min(costs)


def test_noise_has_one_level_and_a_step_two() -> None:
    assert edges(noise(100)) == [0]
    stepped = stepping(6.0, 40, 60, 0)
    assert edges(stepped) == [0, 40]
    low, high = fit_levels(list(stepped), NONE[:60], 1e-6)
    assert abs(low.value) < 0.5
    assert abs(high.value - 6) < 0.7


def test_a_step_of_three_and_a_half_deviations_is_found_within_three_runs() -> None:
    delays = [told_after(stepping(3.5, 60, 80, seed), 60) for seed in range(100, 140)]
    assert sum(delay <= 3 for delay in delays) >= 36
    assert max(delays) <= 6


def test_a_step_of_two_deviations_is_found_too() -> None:
    delays = [told_after(stepping(2.0, 60, 90, seed), 60) for seed in range(100, 120)]
    assert sum(delay <= 15 for delay in delays) >= 18


def test_noise_is_no_step_run_by_run() -> None:
    """Ten histories of 100 runs, watched from the first on."""
    false = [seed for seed in range(200, 210) if any(len(edges(noise(100, seed)[:n])) > 1 for n in range(2, 101))]
    assert not false


def test_of_noise_with_heavy_tails_few_histories_have_a_step() -> None:
    """Student's t with four degrees of freedom: of 100 runs one or two are beyond four deviations."""
    drawn = [np.random.default_rng(seed).standard_t(4, 100) for seed in range(40)]
    assert sum(len(edges(values)) > 1 for values in drawn) <= 2


@pytest.mark.parametrize("place", [0, 1, 30, 58, 59])
@pytest.mark.parametrize("size", [-7.0, 7.0])
def test_one_outlier_is_no_level(place: int, size: float) -> None:
    values = noise(60)
    values[place] += size
    assert edges(values) == [0]


def test_a_second_run_confirms_what_may_be_an_outlier() -> None:
    assert edges([*noise(60), 7.0]) == [0]
    assert edges([*noise(60), 7.0, 7.0]) == [0, 60]


def test_a_large_step_is_seen_at_once() -> None:
    assert edges([*noise(60), 15.0]) == [0, 60]


def test_equal_values_step_only_beyond_the_floor() -> None:
    assert edges([1.0] * 30) == [0]
    assert [level.start for level in fit_levels([1.0] * 20 + [1.01] * 5, NONE[:25], 0.05)] == [0]
    assert [level.start for level in fit_levels([1.0] * 20 + [2.0] * 5, NONE[:25], 0.05)] == [0, 20]


def test_wide_intervals_count_little() -> None:
    values = np.concatenate([np.zeros(30), np.full(3, 4.0)]) + noise(33) * 0.5
    sure = [0.5] * 33
    unsure = [0.5] * 30 + [50.0] * 3
    assert edges(values, sure) == [0, 30]
    assert edges(values, unsure) == [0]


@pytest.mark.parametrize("seed", range(8))
def test_the_fit_is_the_cheapest_partition(seed: int) -> None:
    """Against trying every partition of a short series."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([rng.normal(0, 1, 5), rng.normal(rng.choice([0, 5, 20]), 1, 4)])
    y[rng.integers(9)] += rng.choice([0, 8, 60])
    errors = list(rng.uniform(0.5, 2.0, 9))
    weights, price = weights_of(errors) / noise_of(y), price_of(9)

    def cost(cuts: tuple[int, ...]) -> float:
        parts = list(pairwise([0, *cuts, 9]))
        singles = sum(b - a == 1 for a, b in parts)
        return price * (len(cuts) + singles) + sum(least_loss(y[a:b], weights[a:b]) for a, b in parts)

    cheapest = min(cost(cuts) for count in range(4) for cuts in combinations(range(1, 9), count))
    found = tuple(level.start for level in fit_levels(list(y), errors, 1e-9))[1:]
    assert cost(found) == pytest.approx(cheapest, abs=0.05)  # levels are tried a tenth of the noise apart


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 40])
def test_a_level_is_where_hubers_loss_is_least(count: int) -> None:
    rng = np.random.default_rng(count)
    y, weights = rng.standard_t(2, count) * 3, rng.uniform(0.25, 4, count)
    level = huber_location(y, weights)
    there = sum(loss(w * (v - level)) for v, w in zip(y, weights, strict=True))
    assert there == pytest.approx(least_loss(y, weights), abs=1e-3)


@pytest.mark.parametrize("count", [20, 100, 400])
def test_noise_is_measured_without_the_steps(count: int) -> None:
    found = [noise_of(noise(count, seed)) for seed in range(200)]
    assert np.mean(found) == pytest.approx(1, abs=0.05)
    assert noise_of(stepping(9.0, 50, 100, 1)) == pytest.approx(noise_of(noise(100, 1)), rel=0.06)


def test_few_points_and_none() -> None:
    assert fit_levels([], [], 1.0) == []
    assert edges([1.0]) == [0]
    assert edges([1.0, 1.0, 1.0, 5.0]) == [0]
    (level,) = fit_levels([1.0, 3.0], NONE[:2], 1.0)
    assert level.value == pytest.approx(2)


def test_of_a_long_series_the_last_400_are_fitted() -> None:
    low, high = fit_levels([*noise(300), *(noise(200, 1) + 5)], NONE[:500], 1e-6)
    assert (low.start, high.start, high.end) == (100, 300, 500)
