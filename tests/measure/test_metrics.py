"""One row of the table is all that a metric needs; its log is read to the letter, whatever sign the numbers have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import FFMPEG, Vqa

from vqa_cli.analysis.policy import default_policy
from vqa_cli.media.comparison import comparison_filters
from vqa_cli.media.fidelity import read_logs
from vqa_cli.metrics import METRICS, metric_names, models_for
from vqa_cli.report.labels import metric_label
from vqa_cli.settings import LadderSettings

SSIM = "n:{n} Y:{value} U:0.9 V:0.9 All:0.9 (10.0)\n"
PSNR = "n:{n} mse_avg:1 mse_y:1 mse_u:1 mse_v:1 psnr_avg:48 psnr_y:{value} psnr_u:48 psnr_v:48 \n"
XPSNR = "n:    {n}  XPSNR y: {value}  XPSNR u: 40.0  XPSNR v: 40.0\n"


def write(folder: Path, name: str, line: str, values: list[object]) -> None:
    text = "".join(line.format(n=n, value=value) for n, value in enumerate(values, 1))
    (folder / METRICS[name].log).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("name", "line"), [("ssim", SSIM), ("psnr", PSNR), ("xpsnr", XPSNR)])
def test_negative_values_are_values(tmp_path: Path, name: str, line: str) -> None:
    write(tmp_path, name, line, [0.5, -0.25, 0.75])
    read = read_logs(tmp_path, [name], frames=3, bit_depth=8)
    np.testing.assert_array_equal(read.values[name], [0.5, -0.25, 0.75])
    assert read.faults == {}


@pytest.mark.parametrize(("bits", "ceiling"), [(8, 60.0), (10, 72.0), (12, 84.0)])
def test_equal_frames_count_as_libvmafs_ceiling(tmp_path: Path, bits: int, ceiling: float) -> None:
    write(tmp_path, "psnr", PSNR, ["inf", 30.5])
    np.testing.assert_array_equal(
        read_logs(tmp_path, ["psnr"], frames=2, bit_depth=bits).values["psnr"], [ceiling, 30.5]
    )


def test_a_metric_that_cannot_be_read_costs_that_metric_alone(tmp_path: Path) -> None:
    write(tmp_path, "ssim", SSIM, [0.5, 0.6])
    write(tmp_path, "psnr", PSNR, ["nan", 30.0])
    write(tmp_path, "xpsnr", XPSNR, [30.0])
    (tmp_path / METRICS["vmaf"].log).write_text("{", encoding="utf-8")
    read = read_logs(tmp_path, ["vmaf", "psnr", "ssim", "xpsnr"], frames=2, bit_depth=8)
    assert list(read.values) == ["ssim"]
    assert read.remarks == (
        "vmaf was not measured: its log is damaged",
        "psnr was not measured: frame 0 has no number (1 of 2 frames)",
        "xpsnr was not measured: 1 values for 2 frames",
    )


def test_both_vmaf_models_share_one_filter() -> None:
    filters = comparison_filters(["vmaf_neg", "psnr", "vmaf"], threads=3)
    assert [each.name for each in filters] == ["libvmaf", "psnr"]
    assert filters[0].options["model"] == "version=vmaf_v0.6.1:name=vmaf|version=vmaf_v0.6.1neg:name=vmaf_neg"


def test_a_vmaf_log_gives_each_model_its_own_values(tmp_path: Path) -> None:
    frames = [{"frameNum": n, "metrics": {"vmaf": 90.0 + n, "vmaf_neg": 80.0 + n}} for n in range(3)]
    (tmp_path / METRICS["vmaf"].log).write_text(json.dumps({"frames": frames}), encoding="utf-8")
    read = read_logs(tmp_path, ["vmaf", "vmaf_neg"], frames=3, bit_depth=8)
    assert read.values["vmaf"].tolist() == [90.0, 91.0, 92.0]
    assert read.values["vmaf_neg"].tolist() == [80.0, 81.0, 82.0]
    assert read_logs(tmp_path, ["ms_ssim"], frames=3, bit_depth=8).faults == {"ms_ssim": "its log has no float_ms_ssim"}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_long_vmaf_log_is_read_frame_by_frame(tmp_path: Path, indent: int | None) -> None:
    """Longer than what is read at once, on one line or on many; cut anywhere, it is damaged or lacks frames."""
    frames = [{"frameNum": n, "metrics": {"integer_adm2": n / 7, "vmaf": n + 0.5}} for n in range(3000)]
    log = json.dumps({"version": "3", "frames": frames, "pooled_metrics": {"vmaf": {"min": 0.5}}}, indent=indent)
    path = tmp_path / METRICS["vmaf"].log
    path.write_text(log, encoding="utf-8")
    assert read_logs(tmp_path, ["vmaf"], frames=3000, bit_depth=8).values["vmaf"].tolist() == [
        n + 0.5 for n in range(3000)
    ]
    for share in (0.0, 0.001, 0.3, 0.9):
        path.write_text(log[: round(len(log) * share)], encoding="utf-8")
        assert read_logs(tmp_path, ["vmaf"], frames=3000, bit_depth=8).faults == {"vmaf": "its log is damaged"}


@pytest.mark.parametrize("name", METRICS)
def test_a_row_is_enough_for_everything_that_speaks_of_a_metric(name: str) -> None:
    assert metric_names(name) == (name,)
    assert metric_label(name, None).name == METRICS[name].label
    assert default_policy(name).metrics[name].max_drop_mean == METRICS[name].default_drop
    settings = {"heights": [180], "codecs": [{"encoder": "libx264", "crf": [30]}], "metrics": [name]}
    assert LadderSettings.model_validate(settings).metrics == (name,)


def test_a_misspelt_metric_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown metric: xpnsr; did you mean xpsnr\\?"):
        metric_names("vmaf,xpnsr")


@pytest.mark.parametrize(
    ("display", "fps", "models"),
    [
        (1080, 25, {"vmaf": "vmaf_v0.6.1", "vmaf_v1": "vmaf_v1.0.16_3d0h", "vmaf_v1_phone": "vmaf_v1.0.16_5d0h"}),
        (2160, 30, {"vmaf": "vmaf_4k_v0.6.1", "vmaf_v1": "vmaf_v1.0.16_1d5h_2160", "vmaf_v1_phone": "vmaf_v1.0.16_5d0h"}),
        (720, 59.94, {"vmaf": "vmaf_v0.6.1", "vmaf_v1": "vmaf_v1.0.16_hfr_3d0h", "vmaf_v1_phone": "vmaf_v1.0.16_hfr_5d0h"}),
        (2160, 60, {"vmaf": "vmaf_4k_v0.6.1", "vmaf_v1": "vmaf_v1.0.16_hfr_1d5h_2160", "vmaf_v1_phone": "vmaf_v1.0.16_hfr_5d0h"}),
    ],
)  # fmt: skip
def test_display_and_frame_rate_choose_the_model(display: int, fps: float, models: dict[str, str]) -> None:
    assert models_for(models, display, fps) == models


def test_planes_are_joined_six_to_one_to_one(tmp_path: Path) -> None:
    psnr = "n:1 mse_avg:1 mse_y:1 mse_u:1 mse_v:1 psnr_avg:41 psnr_y:40.0 psnr_u:44.0 psnr_v:inf \n"
    (tmp_path / "psnr.log").write_text(psnr, encoding="utf-8")
    (tmp_path / "ssim.log").write_text("n:1 Y:0.9 U:0.8 V:0.6 All:0.85 (8.2)\n", encoding="utf-8")
    names = ["psnr", "psnr_cb", "psnr_cr", "psnr_611", "ssim", "ssim_cb", "ssim_cr", "ssim_611"]
    read = read_logs(tmp_path, names, frames=1, bit_depth=8)
    assert {name: values.tolist() for name, values in read.values.items()} == {
        "psnr": [40.0], "psnr_cb": [44.0], "psnr_cr": [60.0], "psnr_611": [pytest.approx((6 * 40 + 44 + 60) / 8)],
        "ssim": [0.9], "ssim_cb": [0.8], "ssim_cr": [0.6], "ssim_611": [pytest.approx((6 * 0.9 + 0.8 + 0.6) / 8)],
    }  # fmt: skip
    assert [each.name for each in comparison_filters(names, 2)] == ["psnr", "ssim"]


def test_every_metric_measures_a_clip(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    names = ",".join(METRICS)
    asked = ("--codec", "x264", "--height", "180", "--crf", "34", "--model", "none", "--encoder-preset", "ultrafast")
    done = vqa("ladder", clip, *asked, "--display", "270", "--metric", names, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    (source,) = json.loads((tmp_path / "run.json").read_text())["sources"]
    (rung,) = source["rungs"]
    mean = {name: series["pooled"]["mean"] for name, series in rung["fidelity"].items()}
    assert set(mean) == set(METRICS)
    assert mean["vmaf_v1"] < mean["vmaf_v1_phone"]  # a phone shows less
    for name in ("psnr", "ssim"):
        planes = [mean[name], mean[f"{name}_cb"], mean[f"{name}_cr"]]
        assert min(planes) < mean[f"{name}_611"] < max(planes)
    assert source["metric_models"]["vmaf_v1"] == "vmaf_v1.0.16_3d0h"


def test_a_display_too_small_for_a_metric_is_refused(vqa: Vqa, clip: Path) -> None:
    asked = ("--codec", "x264", "--height", "180", "--crf", "34", "--model", "none", "--display", "180")
    done = vqa("ladder", clip, *asked, "--metric", "vmaf_v1_phone")
    assert (done.returncode, done.stderr) == (
        2,
        "error: vmaf_v1_phone needs pictures of 270p or more: the display is 180p\n",
    )


def test_a_model_that_this_ffmpeg_lacks_is_named(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    old = tmp_path / "old-ffmpeg"
    # An ffmpeg whose libvmaf is older than VMAF v1.
    old.write_text(f'#!/bin/sh\ncase "$*" in *lavfi*vmaf_v1*) exit 1;; esac\nexec "{FFMPEG}" "$@"\n')
    old.chmod(0o755)
    asked = ("--codec", "x264", "--height", "180", "--crf", "34", "--model", "none", "--metric", "vmaf_v1")
    done = vqa("ladder", clip, *asked, "--ffmpeg", old)
    first, hint = done.stderr.splitlines()
    assert done.returncode == 4
    assert first.startswith("error: this ffmpeg has no model vmaf_v1.0.16_3d0h, vmaf_v1.0.16_hfr_3d0h: ")
    assert hint.startswith("hint: it has vmaf_4k_v0.6.1, vmaf_4k_v0.6.1neg, vmaf_v0.6.1, vmaf_v0.6.1neg; ")


@pytest.mark.ffmpeg
def test_a_picture_that_is_too_small_for_a_metric_is_refused_before_it_crashes(vqa: Vqa, clip: Path) -> None:
    for name, metric in METRICS.items():
        if metric.least > 180:
            done = vqa("score", clip, "--reference", clip, "--metric", name)
            assert done.returncode == 3, name
            assert done.stderr.splitlines()[0].endswith(
                f"error: {name} needs pictures of {metric.least}p or more: {clip} is judged at 320x180"
            )
