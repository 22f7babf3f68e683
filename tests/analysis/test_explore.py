"""Exploring a title: few encodes, a ladder that loses little against that of the whole grid, and the loss that is left."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Vqa
from scipy import special
from scipy.stats import qmc

from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.explore import Aim, State, explore, untried
from vqa_cli.analysis.ladders import Choice
from vqa_cli.analysis.limits import default_audience, limits_of, metric_scale
from vqa_cli.analysis.sobol import DIMENSIONS, normal_points, sobol
from vqa_cli.analysis.surface import Dial, Seen, Setting, Title
from vqa_cli.cli.explore import Ended, dial_of, ended_lines, scale_of
from vqa_cli.media.encoders import ENCODERS
from vqa_cli.settings import Constraints

SCALE = metric_scale("vmaf")
LIMITS = limits_of(Constraints(max_rungs=5, interpolate=False), SCALE)
GRID = tuple(Setting(h, float(c)) for h in (360, 540, 720) for c in range(16, 47, 2))
TITLE = Title(GRID, Dial(30.0, 10.0), 720, math.log(1280 * 720 * 25 / 1000))


def encoded(setting: Setting, *, hard: float = 0.0, steep: float = 1.0) -> Point:
    """A title with curves as real ones have: a little off any quadratic, harder or steeper than usual."""
    u, x = (setting.crf - 30) / 10, math.log2(setting.height / 720)
    rate = TITLE.unit - 3.3 + hard - 1.06 * u + 1.15 * x + 0.05 * u * u + 0.02 * math.sin(3 * u + x)
    odds = 1.95 - 0.5 * hard - steep * 1.8 * u + 1.75 * x - 0.4 * u * x + 0.35 * x * x + 0.05 * math.cos(2 * u - x)
    quality = 100 / (1 + math.exp(-odds))
    name = f"{setting.height}p_crf{setting.crf:g}"
    return Point(name, math.exp(rate), quality, setting.height, "libx264", 1.0, crf=setting.crf)


def explored(aim: Aim, **title: float) -> list[State]:
    return list(explore(lambda setting: encoded(setting, **title), aim))


def aim(*, loss: float = 0.5, encodes: int = 8) -> Aim:
    return Aim(TITLE, LIMITS, SCALE, 10.0, None, loss, encodes)


def lost(rungs: tuple[Point, ...], **title: float) -> float:
    """What viewers lose by the rungs against the best ladder of the whole grid."""
    points = [encoded(setting, **title) for setting in GRID]
    choice = Choice(points, default_audience(points, SCALE), SCALE, LIMITS, 10.0, {})
    return choice.value(choice.solved(0.0)) - choice.value(rungs)


@pytest.mark.parametrize("title", [{}, {"hard": -1.0}, {"hard": 1.0}, {"steep": 1.15}, {"hard": 0.7, "steep": 0.85}])
def test_few_encodes_find_a_ladder_that_loses_little(title: dict[str, float]) -> None:
    states = explored(aim(), **title)
    last = states[-1]
    assert len(last.measured) <= 8 and all(p.measured for p in last.rungs)
    assert lost(last.rungs, **title) <= 1.0
    assert last.following is None and last.why


def test_the_same_again_is_the_same() -> None:
    once, again = (explored(aim(), hard=0.4) for _ in range(2))
    assert once == again


def test_a_small_budget_says_what_is_left() -> None:
    states = explored(aim(encodes=3))
    assert len(states) == 3 and states[-1].why == "the budget of 3 encodes is spent"
    assert states[-1].loss > 1 and states[-1].loss == pytest.approx(lost(states[-1].rungs), rel=0.5)


@pytest.mark.parametrize(("heights", "said"), [((240, 360), "; nothing above 360p was tried"), ((240, 720), "")])
def test_sizes_above_those_that_were_encoded_are_said_to_be_untried(heights: tuple[int, ...], said: str) -> None:
    grid = tuple(Setting(height, 30.0) for height in (240, 360, 540, 720))
    top = untried(grid, [encoded(Setting(height, 24.0)) for height in heights])
    lines = ended_lines([Ended("clip.mp4", "libx264", 5, 0.5, "a better ladder would gain little", top)], 0.5)
    left = "viewers are expected to lose 0.50"
    assert lines == [f"clip.mp4 libx264: 5 encodes, a better ladder would gain little; {left}{said}"]


def test_a_smaller_loss_takes_more_encodes() -> None:
    rough, fine = explored(aim(loss=6.0)), explored(aim(loss=0.1, encodes=20))
    assert len(rough) < len(fine) and fine[: len(rough)] != rough  # the last state of the rough one is its end
    assert lost(fine[-1].rungs) <= lost(rough[-1].rungs)


def test_encodes_narrow_the_surface_where_they_are() -> None:
    seen = [Seen(s, math.log(p.kbps), p.quality / 100) for s in (GRID[4], GRID[40]) for p in (encoded(s),)]
    before, after = TITLE.odds([]), TITLE.odds(seen)
    assert (after.spread() <= before.spread() + 1e-9).all()
    assert after.spread()[[4, 40]] == pytest.approx(0, abs=0.01)
    assert after.mean[4] == pytest.approx(math.log(seen[0].quality / (1 - seen[0].quality)), abs=1e-3)


@pytest.mark.parametrize("count", [1, 64, 512])
def test_points_are_those_of_scipy(count: int) -> None:
    wanted = qmc.Sobol(DIMENSIONS, scramble=False).random(count)
    assert np.array_equal(sobol(count, DIMENSIONS), wanted)
    assert normal_points(count, 5) == pytest.approx(special.ndtri((wanted[:, :5] + 0.5 / count) % 1.0), abs=1e-12)


def test_draws_are_as_uncertain_as_the_surface() -> None:
    surface = TITLE.rates([Seen(GRID[6], math.log(encoded(GRID[6]).kbps), 0.6)])
    drawn = surface.draws(1024)
    assert drawn.mean(axis=0) == pytest.approx(surface.mean, abs=0.02)
    assert drawn.std(axis=0) == pytest.approx(surface.spread(), abs=0.02)
    assert np.array_equal(drawn, surface.draws(1024))


def test_saturated_encodes_say_nothing_of_the_slope() -> None:
    lossless = Seen(GRID[-16], 9.0, 0.9999)
    assert np.array_equal(TITLE.odds([lossless]).mean, TITLE.odds([]).mean)


@pytest.mark.parametrize("name", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "libvvenc", "h264_videotoolbox"])
def test_every_encoder_has_a_scale(name: str) -> None:
    encoder, crfs = ENCODERS[name], list(scale_of(ENCODERS[name]))
    low, high = encoder.quality_range
    assert len(crfs) > 20 and low <= crfs[0] < crfs[-1] <= high and all(crf % 1 == 0 for crf in crfs)
    better = dial_of(encoder)
    # Tens count from good to poor, whichever way the encoder's own numbers go.
    assert (better.ten > 0) == encoder.lower_is_better


LADDER = ("--codec", "x264", "--height", "90,120,180", "--display", "180", "--encoder-preset", "ultrafast",
          "--metric", "vmaf", "--model", "none")  # fmt: skip


def test_exploring_a_clip(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = vqa("ladder", clip, *LADDER, "--explore", "--encodes", "4", "--cache-dir", cache, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    (source,) = run["sources"]
    assert 2 <= len(source["rungs"]) <= 4
    assert (
        len(run["settings"]["rungs"]) == len(source["rungs"]) and run["settings"]["recommend"]["interpolate"] is False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"clip.mp4 libx264: {len(source['rungs'])} encodes, ") and "are expected to lose" in last
    # The ladder is the one that `vqa recommend` gives, and all of it was encoded.
    (told,) = json.loads(vqa("recommend", tmp_path / "run", "--format", "json").stdout)
    known = {rung["id"] for rung in source["rungs"]}
    assert {p["rung"] for p in told["chosen"]} <= known and all(p["measured"] for p in told["chosen"])
    shown = [line for line in done.stdout.splitlines() if line.startswith("libx264_")]
    assert [line.split()[0] for line in shown] == [p["rung"] for p in told["chosen"]]
    assert f"next: vqa recommend {tmp_path / 'run'} --format ffmpeg" in done.stdout


def test_exploring_again_encodes_nothing(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    asked = (
        "ladder",
        clip,
        *LADDER,
        "--explore",
        "--encodes",
        "3",
        "--cache-dir",
        tmp_path / "cache",
        "--format",
        "csv",
    )
    first, again = (vqa(*asked, "-o", tmp_path / name) for name in "ab")
    # Times of the encodes are those of the first run: they were remembered, not made again.
    assert first.stdout == again.stdout != ""


def test_a_grid_is_confirmed_on_request(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    asked = ("ladder", clip, *LADDER, "--crf", "20,30,40", "--cache-dir", tmp_path / "cache")
    plain = vqa(*asked, "-o", tmp_path / "plain")
    assert plain.stdout.splitlines()[-1] == "next: the same command with --confirm encodes what is marked ~"
    done = vqa(*asked, "--confirm", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "~" not in done.stdout
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    crfs = {rung["rate"]["crf"] for rung in run["sources"][0]["rungs"]}
    assert crfs > {20, 30, 40}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--metric", "psnr"), "--explore needs a metric whose numbers say what viewers see"),
        (("--bitrate", "300k"), "--explore chooses CRFs by itself: it needs sizes and CRFs, not bitrates or fixed rungs"),
        (("--repeat", "2"), "--repeat is for a fixed ladder, not for --explore"),
        (("--dry-run",), "--dry-run cannot say what --explore will encode: each encode decides the next"),
        (("--loss", "nan"), "--loss is no finite number: nan"),
    ],
)  # fmt: skip
def test_what_cannot_be_explored(vqa: Vqa, clip: Path, flags: tuple[str, ...], message: str) -> None:
    done = vqa("ladder", clip, "--codec", "x264", "--model", "none", "--explore", *flags)
    assert done.returncode == 2 and done.stderr.splitlines()[0] == f"error: {message}"


def test_an_aim_of_ones_own_audience() -> None:
    """Throughputs that are given decide what is worth an encode."""
    from vqa_cli.analysis.audience import measured

    wanted = replace(aim(), audience=measured([(900.0, 1.0)], "a.csv"))
    *_, last = explored(wanted)
    (only,) = [p for p in last.rungs if p.kbps == max(r.kbps for r in last.rungs)]
    assert only.kbps <= 900
