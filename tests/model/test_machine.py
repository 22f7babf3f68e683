"""What is recorded of the CPU, and what is said where two runs come from different ones."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Vqa
from documents import make_run, make_rung
from test_store_rungs import KEY, MEASURED

from vqa_cli import machine
from vqa_cli.analysis.comparable import making_remarks
from vqa_cli.analysis.gate import judge
from vqa_cli.analysis.policy import default_policy
from vqa_cli.document import Run
from vqa_cli.report.comparability import differences
from vqa_cli.store.rungs import Rungs

NEHALEM = "fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt"
HASWELL = f"{NEHALEM} avx f16c fma avx2 bmi1"
SKYLAKE = f"{HASWELL} avx512f avx512cd avx512bw avx512dq avx512vl"
KNIGHTS = f"{HASWELL} avx512f avx512cd avx512er avx512pf"
X264 = "[libx264 @ 0x1] [info] using cpu capabilities: MMX2 SSE2Fast SSSE3 SSE4.2"
SVT = "Svt[info]: [asm level on system : up to avx512icl]\nSvt[info]: [asm level selected : up to "


@pytest.mark.parametrize(
    ("flags", "level"),
    [("fpu sse sse2", "sse2"), (NEHALEM, "sse4"), (HASWELL, "avx2"), (SKYLAKE, "avx512"), (KNIGHTS, "avx2"), ("", "unknown")],
)  # fmt: skip
def test_the_level_is_the_widest_that_is_there_whole(monkeypatch: pytest.MonkeyPatch, flags: str, level: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "_cpuinfo", lambda: {"flags": flags})
    assert machine.simd_level() == level


@pytest.mark.parametrize(
    ("log", "used"),
    [
        (f"{X264} AVX FMA3 BMI2 AVX2 AVX512\n", "avx512"),
        (f"{X264} AVX FMA3 BMI2 AVX2\n[info] later", "avx2"),
        (X264, "sse4"),
        ("x265 [info]: using cpu capabilities: MMX2 SSE2Fast LZCNT SSSE3 SSE4.2 AVX FMA3 BMI2 AVX2", "avx2"),
        ("[info] using cpu capabilities: none!", "none"),
        ("[info] using cpu capabilities: ARMv8 NEON", "neon"),
        (f"{SVT}avx512icl]", "avx512"),
        (f"{SVT}sse4_1]", "sse4"),
        (f"{SVT}c]", "none"),
        ("libvvenc says nothing", "ssse3"),
    ],
)
def test_what_an_encoder_says_counts_more_than_what_the_cpu_has(
    monkeypatch: pytest.MonkeyPatch, log: str, used: str
) -> None:
    monkeypatch.setattr(machine, "simd_level", lambda: "ssse3")
    assert machine.simd_used(log) == used


SCHEDULED = """
import os, sys
from vqa_cli.machine import prefer_throughput
os.sched_setscheduler(0, int(sys.argv[1]), os.sched_param(0))
prefer_throughput()
os.execv(sys.executable, [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's policies")
@pytest.mark.parametrize(("before", "after"), [("OTHER", "BATCH"), ("IDLE", "IDLE")])
def test_programs_let_each_other_finish_their_turn_unless_another_policy_was_chosen(before: str, after: str) -> None:
    asked = str(getattr(os, f"SCHED_{before}"))
    child = subprocess.run([sys.executable, "-c", SCHEDULED, asked], capture_output=True, text=True, check=True)
    assert int(child.stdout) == getattr(os, f"SCHED_{after}")


def made_on(simd: str, *, encoder: str = "libx264", said: str | None = None) -> Run:
    rungs = [make_rung(encoder, 360, r, 20 + 10 * np.log(r), simd=said or simd) for r in (150.0, 400.0, 1000.0, 2500.0)]
    run = make_run(rungs)
    return run.model_copy(update={"environment": run.environment.model_copy(update={"simd": simd})})


def test_the_gate_remarks_on_other_instructions() -> None:
    said = "encoded with different CPU instructions (libx264: avx512 and avx2): part of a difference may be theirs"
    verdict = judge(made_on("avx512"), made_on("avx2"), default_policy("vmaf"))
    assert verdict.outcome == "pass" and verdict.notes == (said,)
    assert judge(made_on("avx2"), made_on("avx2"), default_policy("vmaf")).notes == ()


def test_an_encoder_held_to_the_same_instructions_is_not_remarked_on() -> None:
    assert list(making_remarks(made_on("avx512", said="avx2"), made_on("avx2"))) == []


def test_runs_without_a_common_encoder_are_told_by_their_cpus() -> None:
    (said,) = making_remarks(made_on("avx512"), made_on("sse4", encoder="libx265", said="avx2"))
    assert said == "encoded with different CPU instructions (avx512 and sse4): part of a difference may be theirs"


def test_the_report_remarks_on_other_instructions() -> None:
    said = "A and B were encoded with different CPU instructions (libx264: neon and avx2), which may be part of their difference."
    assert differences([("A", made_on("neon")), ("B", made_on("avx2"))]) == [said]


def test_bdrate_remarks_on_other_instructions(vqa: Vqa, tmp_path: Path) -> None:
    for name, simd in (("one", "avx512"), ("two", "avx2")):
        (tmp_path / f"{name}.json").write_text(made_on(simd).model_dump_json())
    said = "encoded with different CPU instructions (libx264: avx512 and avx2): part of a difference may be theirs"
    both = (tmp_path / "one.json", tmp_path / "two.json")
    assert vqa("bdrate", *both).stdout.splitlines()[-1] == said
    assert json.loads(vqa("bdrate", *both, "--format", "json").stdout)["remarks"] == [said]
    assert vqa("bdrate", tmp_path / "one.json", tmp_path / "one.json").stdout.count("instructions") == 0


def test_a_folder_of_several_machines_gives_each_its_own_encodes(tmp_path: Path) -> None:
    Rungs(tmp_path, machine="avx512").store(KEY, MEASURED, {})
    assert Rungs(tmp_path, machine="avx2").load(KEY) is None
    found = Rungs(tmp_path, machine="avx512").load(KEY)
    assert found is not None and found[0] == MEASURED


@pytest.mark.ffmpeg
def test_a_ladder_records_what_its_encoder_used(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    done = vqa("ladder", clip, "--codec", "x264", "--crf", "40", "--height", "180", "--display", "180", "--metric", "psnr",
               "--model", "none", "--extra", "-x264-params asm=SSSE3", "-o", tmp_path / "run")  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["environment"]["simd"] == machine.simd_level()
    if machine.simd_level() != "neon":
        assert run["sources"][0]["rungs"][0]["encode"]["simd"] == "ssse3"
