"""Agreement figures against SciPy and independent references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vqa_cli.errors import InputError
from vqa_cli.train.correlation import Agreement, agreement, srocc_interval

_CLIPS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20)


def _plain_srocc(x: list[float], y: list[float]) -> float:
    """Pearson's coefficient of mean ranks, by counting."""

    def rank(v: list[float]) -> np.ndarray:
        return np.array([sum(b < a for b in v) + (sum(b == a for b in v) - 1) / 2 for a in v])

    return float(np.corrcoef(rank(x), rank(y))[0, 1])


@given(_CLIPS)
@settings(max_examples=60)
def test_ranks_with_ties_agree_with_counting_and_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = ([float(p[i]) for p in pairs] for i in (0, 1))
    result = agreement(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(result.srocc) and result.reasons
        return
    assert result.srocc == pytest.approx(_plain_srocc(x, y), abs=1e-9)
    assert result.krocc == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert result.plcc == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)


def test_constant_predictions_are_undefined_with_a_reason() -> None:
    result = agreement([3.0, 3.0, 3.0], [1.0, 2.0, 3.0])
    assert math.isnan(result.srocc) and math.isnan(result.plcc_fit)
    assert result.reasons == ("all predictions are equal",)
    assert result.document()["srocc"] is None
    assert result.rmse == pytest.approx(math.sqrt(5 / 3))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_fit_straightens_a_logistic(sign: int) -> None:
    x = np.linspace(-300, 500, 40)
    y = 1 + 4 / (1 + np.exp(-sign * (x - 120) / 70))
    result = agreement(x, y)
    assert abs(result.plcc) < 0.99
    assert result.plcc_fit > 0.999999
    assert result.rmse_fit < 1e-3


def test_four_clips_have_no_fit() -> None:
    assert agreement([1, 2, 3, 4], [1, 2, 4, 3]).reasons == ("the logistic fit needs 5 clips",)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, rho, hits = np.random.default_rng(4), 0.7, 0
    truth = 6 / math.pi * math.asin(rho / 2)  # Spearman's coefficient of a bivariate normal
    for _ in range(400):
        a, b = rng.multivariate_normal((0, 0), ((1, rho), (rho, 1)), 60).T
        low, high = srocc_interval(stats.spearmanr(a, b).statistic, 60)
        hits += low <= truth <= high
    assert 0.91 <= hits / 400 <= 0.985


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        agreement([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(InputError, match="cannot correlate"):
        agreement([1.0], [1.0, 2.0])


def test_figures_that_were_kept_come_back_and_what_was_undefined_stays_so() -> None:
    for predicted in ([1.0, 2.0, 3.0, 4.0, 6.0, 5.0], [2.0] * 6):
        before = agreement(predicted, [1.0, 3.0, 2.0, 4.0, 5.0, 7.0])
        kept = {k: v for k, v in before.document().items() if isinstance(v, (int, float))}
        after = Agreement.recalled(kept)
        assert after.document() == before.document() | {"reasons": after.reasons}
        assert bool(after.reasons) == bool(before.reasons)
