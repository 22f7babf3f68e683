"""Heads, MDTVSFA's losses and standardised features: against references, in batches, in chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_cli.errors import ModelError
from vqa_cli.model import heads
from vqa_cli.model.heads import HeadStream, batch_scores, make_head
from vqa_cli.model.recurrence import run_gru
from vqa_cli.train.clips import Clips, Standard
from vqa_cli.train.objective import MixedObjective, combine, linearity_loss, monotonicity_loss

pytestmark = pytest.mark.numeric

KINDS = {"vsfa": {"hidden": 4}, "frame": {}, "transformer": {"hidden": 4, "heads": 2}}


def _head(kind: str) -> heads.Head:
    torch.manual_seed(1)
    return make_head(kind, {"dim": 6, "reduced": 8, **KINDS[kind]}).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_reaches_a_frame(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "WINDOW_FRAMES", 16)  # so that some clips are several windows, some less than one
    head, clips = _head(kind), [torch.randn(n, 6) for n in (3, 16, 37, 1)]
    with torch.no_grad():
        together = batch_scores(head, torch.cat(clips), torch.tensor([3, 16, 37, 1]))
        for row, clip in zip(together, clips, strict=True):
            alone = batch_scores(head, clip, torch.tensor([len(clip)]))[0]
            assert torch.allclose(row[: len(clip)], alone, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_give_the_scores_of_the_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "WINDOW_FRAMES", 16)
    head, clip = _head(kind), torch.randn(50, 6)
    stream = HeadStream(head)
    parts = [stream.push(part) for part in clip.split([1, 20, 7, 22])] + [stream.end()]
    with torch.no_grad():
        whole = batch_scores(head, clip, torch.tensor([50]))[0]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_a_transformer_knows_the_order_of_frames() -> None:
    head, clip = _head("transformer"), torch.randn(9, 6)
    with torch.no_grad():
        forward, backward = (batch_scores(head, c, torch.tensor([9]))[0] for c in (clip, clip.flip(0)))
    assert not torch.allclose(forward, backward.flip(0), atol=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 37])
def test_the_recurrence_and_its_slopes_are_those_of_torch(frames: int) -> None:
    torch.manual_seed(3)
    rnn = torch.nn.GRU(6, 4, batch_first=True)
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.mul_(4)  # so that gates saturate, as they come to do
    inputs, weight = (torch.randn(5, frames, 6) * 30).requires_grad_(), torch.randn(5, frames, 4)
    found = []
    for run in (lambda: run_gru(rnn, inputs), lambda: rnn(inputs)[0]):
        states = run()
        slopes = torch.autograd.grad((states * weight).sum(), [inputs, *rnn.parameters()])
        found.append([states, *slopes])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(run_gru(rnn, inputs), rnn(inputs)[0])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=2, max_size=12))
def test_monotonicity_counts_each_wrong_pair_once(pairs: list[tuple[float, int]]) -> None:
    predicted, rated = (torch.tensor(values, dtype=torch.float64) for values in zip(*pairs, strict=True))
    n, expected = len(pairs), 0.0
    for i in range(n):
        for j in range(n):
            expected += max(0.0, float((predicted[i] - predicted[j]) * np.sign(pairs[j][1] - pairs[i][1])))
    assert float(monotonicity_loss(predicted, rated)) == pytest.approx(expected / n / (n - 1))


def test_linearity_is_pearsons_and_the_hardest_database_counts_most() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=9), rng.normal(size=9)
    loss = float(linearity_loss(torch.from_numpy(x), torch.from_numpy(y)))
    assert loss == pytest.approx((1 - np.corrcoef(x, y)[0, 1]) / 2)
    assert float(combine(torch.tensor([1.0, 1.0]))) == pytest.approx(1)
    assert float(combine(torch.tensor([0.0, 2.0]))) == pytest.approx(2 * np.exp(2) / (1 + np.exp(2)))


def test_a_mixed_objective_starts_within_each_scale() -> None:
    objective = MixedObjective([1.0, -5.0], [4.0, 100.0])
    for index, (low, high) in enumerate(((1.0, 5.0), (-5.0, 95.0))):
        ratings = objective.to_ratings(torch.tensor([-9.0, 0.0, 9.0]), index).detach()
        assert low < ratings[0] < ratings[1] < ratings[2] < high
        assert float(ratings[1]) == pytest.approx((low + high) / 2)


def test_standardisation_folds_into_the_first_layer_and_back() -> None:
    rng = np.random.default_rng(2)
    clips = Clips(tuple(rng.normal(3, 2, (n, 6)).astype(np.float16) for n in (5, 9)), torch.zeros(2))
    standard, head = Standard.of([clips]), _head("vsfa")
    frames = torch.from_numpy(np.concatenate(clips.features)).float()
    assert torch.allclose(standard.apply(frames).mean(0), torch.zeros(6), atol=1e-4)
    before = {k: v.clone() for k, v in head.state_dict().items()}
    with torch.no_grad():
        expected = batch_scores(head, standard.apply(frames), torch.tensor([14]))
        head.load_state_dict(standard.folded(before))
        assert torch.allclose(batch_scores(head, frames, torch.tensor([14])), expected, atol=1e-5)
    assert torch.allclose(standard.unfolded(head.state_dict())["ann.fc0.bias"], before["ann.fc0.bias"], atol=1e-5)


def test_unknown_heads_and_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="no such head"):
        make_head("lstm", {"dim": 6})
    with pytest.raises(ModelError, match="cannot have these sizes"):
        make_head("transformer", {"dim": 6, "reduced": 7})
