"""What a decode tells of a file: signs of damage in its log, and pictures that differ when it is decoded again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from test_media_command import source

from vqa_cli.media.counting import AGAIN, Counted, count_frames, find_damage, first_complaint
from vqa_cli.media.process import Runner

INFO = source(codec="hevc", frames=3)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[hevc @ 0x1] [error] CABAC_MAX_BIN : 7", "[hevc] CABAC_MAX_BIN : 7"),
        ("[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame", "[vist#0:0/h264] [dec:h264] corrupt decoded frame"),
        ("[h264 @ 0x1] [info] concealing 9 DC, 9 AC, 9 MV errors in P frame", "[h264] concealing 9 DC, 9 AC, 9 MV errors in P frame"),
        ("[in#0/mpegts @ 0x1] [warning] Packet corrupt (stream = 0, dts = 9).", "[in#0/mpegts] Packet corrupt (stream = 0, dts = 9)."),
        ("[null @ 0x1] [error] Application provided invalid, non monotonically increasing dts", None),
        ("[info] Stream mapping:", None),
        ("[h264 @ 0x1] [warning] deprecated pixel format used", None),
    ],
)  # fmt: skip
def test_signs_of_damage(line: str, told: str | None) -> None:
    log = f"[info] Input #0\n{line}\n[hevc @ 0x1] [warning] what comes later is not told"
    assert first_complaint(log) == told


def printing(*lines: str, log: str = "") -> list[str]:
    """A program that prints these lines and logs that one."""
    return [sys.executable, "-c", f"import sys; print({chr(10).join(lines)!r}); print({log!r}, file=sys.stderr)"]


@pytest.mark.parametrize(
    ("log", "made_up"), [("", False), ("[hevc @ 0x1] [error] no", False), ("[dec:h264 @ 0x2] [warning] corrupt decoded frame", True)]
)  # fmt: skip
def test_what_a_decode_tells(log: str, made_up: bool) -> None:
    with Runner() as runner:
        counted = count_frames(runner, printing("frame=2", "frame=3", "progress=end", log=log), INFO)
    assert (counted.frames, counted.made_up, counted.complaint is None) == (3, made_up, not log)


def decoding(*sums: str) -> Callable[[int], Sequence[str]]:
    """Decodes whose frames have these checksums, those of ``?`` another one by each number of threads."""
    return lambda threads: printing(
        "#tb 0: 1/25", *(f"0, {n}, {n}, 1, 3456, {text.replace('?', str(threads))}" for n, text in enumerate(sums))
    )


@pytest.mark.parametrize(
    ("counted", "codec", "sums", "damage"),
    [
        (Counted(3), "hevc", "ab?", None),  # nothing is said of it: it is not decoded again
        (Counted(3, "[error]"), "hevc", "abc", None),
        (Counted(3, "[error]"), "hevc", "a??", "from frame 1 on its pictures come out differently each time"),
        (Counted(3), "vp8", "ab?", "from frame 2 on its pictures come out differently each time"),
        (Counted(2, "[error]", made_up=True), "hevc", "a??", None),  # what is lost is told instead
        (Counted(3, "concealing", made_up=True), "h264", "abc", "the decoder made up parts of its pictures"),
    ],
)
def test_what_is_wrong_with_pictures(counted: Counted, codec: str, sums: str, damage: str | None) -> None:
    with Runner() as runner:
        assert find_damage(runner, decoding(*sums), replace(INFO, codec=codec), counted) == damage


def test_a_decode_that_gives_fewer_frames_differs() -> None:
    def again(threads: int) -> Sequence[str]:
        return decoding(*("ab" if threads == AGAIN[-1] else "abc"))(threads)

    with Runner() as runner:
        assert find_damage(runner, again, INFO, Counted(3, "[error]")) == (
            "from frame 2 on its pictures come out differently each time"
        )
