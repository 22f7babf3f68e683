"""What each encoder calls the things that a ladder fixes: rate control, GOP, speed, threads.

Every table entry is data; :mod:`vqa_cli.media.command` turns it into argv. "Quality" is the encoder's constant-quality
number: CRF, CQ, ICQ or QP. Flags whose reason is not plain carry it beside them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from vqa_cli.errors import UsageError

Options = dict[str, str]


@dataclass(frozen=True, slots=True)
class Encoder:
    """One ffmpeg encoder.

    ``gop_multiple`` is the mini-GOP that a closed GOP must be a whole number of.

    Attributes:
        quality: options of constant quality at a given value; with a cap, maxrate and bufsize come on top.
        quality_range: least and greatest value that the encoder takes.
        whole_quality: it takes no value between whole ones; ffmpeg rounds such a value silently.
        lower_is_better: a low value is good quality.
        gop: options for closed GOPs of exactly this many frames.
        threads: options that pin the thread count; empty for hardware.
        two_pass: whether ``-pass 1``/``-pass 2`` work; else a target bitrate is one-pass VBR, which results say.
        maxrate_with_bitrate: whether a target bitrate may carry maxrate and bufsize.
        capped: options of constant quality under a maximum rate in bit/s; ``None`` where the encoder has no such mode.
        speed_key: option that holds the speed preset.
        pix_fmt: of its encodes where nothing else is said.
        speeds, tunes: their names, where ffmpeg does not list them; tunes may then be joined by a plus sign.
        fixed: options that are always there.
        tag: MP4 sample entry, where the default one does not play everywhere.
        upload: filters that carry 8-bit frames to the device; those of 10 bit go as p010le.
        device: the global options that open it.
    """

    name: str
    codec: str
    quality: Callable[[float], Options]
    quality_range: tuple[float, float]
    gop: Callable[[int], Options]
    default_speed: str
    speed_key: str = "preset"
    pix_fmt: str = "yuv420p"
    speeds: tuple[str, ...] = ()
    tunes: tuple[str, ...] = ()
    threads: Callable[[int], Options] = field(default=lambda n: {"threads": str(n)})
    two_pass: bool = True
    maxrate_with_bitrate: bool = True
    capped: Callable[[float, float], Options] | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    whole_quality: bool = True
    lower_is_better: bool = True
    gop_multiple: int = 1
    tag: str | None = None
    upload: str | None = None
    device: tuple[str, ...] = ()

    @property
    def hardware(self) -> bool:
        return not self.name.startswith("lib")


def _number(value: float) -> str:
    return f"{value:g}"


def _crf(value: float) -> Options:
    return {"crf": _number(value)}


def _crf_zero_rate(value: float) -> Options:
    # libvpx and libaom treat CRF as a floor under a bitrate ("constrained quality") unless the bitrate is zero.
    return {"crf": _number(value), "b:v": "0"}


def _with_maxrate(quality: Callable[[float], Options]) -> Callable[[float, float], Options]:
    return lambda value, cap: {**quality(value), "maxrate": str(round(cap))}


def _constrained_quality(value: float, cap: float) -> Options:
    return {"crf": _number(value), "b:v": str(round(cap))}


def _fixed_gop(frames: int) -> Options:
    return {"g": str(frames), "keyint_min": str(frames)}


def _x264_gop(frames: int) -> Options:
    return {**_fixed_gop(frames), "sc_threshold": "0", "flags": "+cgop"}


def _x264_threads(threads: int) -> Options:
    # With the lookahead in a thread of its own, 4 of 160 encodes by two threads on a busy machine differed; without, none
    # of 340.
    return {"threads": str(threads), "x264-params": "sync-lookahead=0"}


def _x265_gop(frames: int) -> Options:
    return {"g": str(frames), "x265-params": f"keyint={frames}:min-keyint={frames}:scenecut=0:open-gop=0"}


def _x265_threads(threads: int) -> Options:
    # frame-threads changes the bitstream, and its default follows the machine.
    return {"x265-params": f"pools={threads}:frame-threads={min(threads, 2)}"}


def _svt_gop(frames: int) -> Options:
    return {"g": str(frames), "svtav1-params": "scd=0:irefresh-type=2"}


def _vvenc_gop(frames: int) -> Options:
    return {"g": str(frames), "vvenc-params": "decodingrefreshtype=idr"}


def _nvenc_gop(frames: int) -> Options:
    return {"g": str(frames), "no-scenecut": "1", "forced-idr": "1", "strict_gop": "1"}


def _simple_gop(frames: int) -> Options:
    return {"g": str(frames)}


def _qsv_gop(frames: int) -> Options:
    return {"g": str(frames), "adaptive_i": "0"}


def _no_threads(_threads: int) -> Options:
    return {}


# Numbers do, too: 0 is ultrafast.
_X26X_SPEEDS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
    *"0123456789",
)  # fmt: skip
_X264_TUNES = ("film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency")
_X265_TUNES = ("psnr", "ssim", "grain", "fastdecode", "zerolatency", "animation")

_SOFTWARE = (
    Encoder(
        "libx264", "h264", _crf, (0, 51), _x264_gop, "medium", threads=_x264_threads, whole_quality=False,
        capped=_with_maxrate(_crf), speeds=_X26X_SPEEDS, tunes=_X264_TUNES,
    ),
    Encoder(
        "libx265", "hevc", _crf, (0, 51), _x265_gop, "medium", threads=_x265_threads, tag="hvc1",
        whole_quality=False, capped=_with_maxrate(_crf), speeds=_X26X_SPEEDS, tunes=_X265_TUNES,
    ),
    Encoder(
        "libsvtav1", "av1", _crf, (1, 63), _svt_gop, "8",
        threads=lambda n: {"svtav1-params": f"lp={n}"},
        capped=_with_maxrate(_crf),
        maxrate_with_bitrate=False,  # SVT-AV1 takes a maximum rate with CRF only
    ),
    Encoder(
        "libvpx-vp9", "vp9", _crf_zero_rate, (0, 63), _fixed_gop, "2", speed_key="cpu-used",
        threads=lambda n: {"threads": str(n), "row-mt": "1"}, capped=_constrained_quality,
        fixed={"deadline": "good"},
    ),
    Encoder(
        "libaom-av1", "av1", _crf_zero_rate, (0, 63), _fixed_gop, "6", speed_key="cpu-used",
        threads=lambda n: {"threads": str(n), "row-mt": "1"}, capped=_constrained_quality,
    ),
    Encoder(
        "libvvenc", "vvc", lambda q: {"qp": _number(q)}, (0, 63), _vvenc_gop, "faster",
        gop_multiple=32, pix_fmt="yuv420p10le",
    ),
)  # fmt: skip


def _nvenc(codec: str, tag: str | None = None) -> Encoder:
    top = 63 if codec == "av1" else 51

    def quality(value: float) -> Options:
        return {"rc": "vbr", "cq": _number(value), "b:v": "0"}

    return Encoder(
        f"{codec}_nvenc", codec, quality, (1, top), _nvenc_gop, "p5", threads=_no_threads, two_pass=False,
        capped=_with_maxrate(quality), fixed={"multipass": "fullres"}, tag=tag, whole_quality=False,
    )  # fmt: skip


def _qsv(codec: str, tag: str | None = None) -> Encoder:
    return Encoder(
        f"{codec}_qsv", codec, lambda q: {"global_quality": _number(q)}, (1, 51), _qsv_gop, "medium",
        threads=_no_threads, two_pass=False, tag=tag,
        upload="format=nv12", device=("-init_hw_device", "qsv=hw"),
    )  # fmt: skip


def _vaapi(codec: str, tag: str | None = None) -> Encoder:
    return Encoder(
        f"{codec}_vaapi", codec, lambda q: {"rc_mode": "CQP", "qp": _number(q)}, (1, 255 if codec == "av1" else 52),
        _simple_gop, "", speed_key="compression_level", threads=_no_threads, two_pass=False,
        tag=tag, upload="format=nv12,hwupload", device=("-vaapi_device", "/dev/dri/renderD128"),
    )  # fmt: skip


def _videotoolbox(codec: str, tag: str | None = None) -> Encoder:
    return Encoder(
        f"{codec}_videotoolbox", codec, lambda q: {"q:v": _number(q)}, (1, 100), _simple_gop, "",
        threads=_no_threads, two_pass=False, tag=tag, whole_quality=False, lower_is_better=False,
    )  # fmt: skip


_HARDWARE = tuple(
    make(codec, "hvc1" if codec == "hevc" else None)
    for make in (_nvenc, _qsv, _vaapi, _videotoolbox)
    for codec in ("h264", "hevc", "av1")
)

ENCODERS: Mapping[str, Encoder] = {encoder.name: encoder for encoder in (*_SOFTWARE, *_HARDWARE)}

SHORT_NAMES = {
    "x264": "libx264", "h264": "libx264", "avc": "libx264", "x265": "libx265", "h265": "libx265", "hevc": "libx265",
    "av1": "libsvtav1", "svtav1": "libsvtav1", "svt-av1": "libsvtav1", "vp9": "libvpx-vp9", "vpx-vp9": "libvpx-vp9", "aom": "libaom-av1", "aom-av1": "libaom-av1",
    "vvc": "libvvenc", "h266": "libvvenc", "vvenc": "libvvenc",
}  # fmt: skip


def full_name(name: str, known: Collection[str] = ()) -> str:
    """``x264``, or ``x264 medium``, by ffmpeg's name of the encoder: ``libx264 medium``. What is ``known`` stays as it is."""
    first, _, rest = name.partition(" ")
    full = name if name in known else f"{SHORT_NAMES.get(first.lower(), first)} {rest}"
    return full.rstrip()


def find_encoder(name: str) -> Encoder:
    """The table entry for an ffmpeg encoder name or its everyday short form (``av1`` is SVT-AV1).

    Raises:
        UsageError: no such encoder here.
    """
    full = full_name(name)
    if full not in ENCODERS:
        near = difflib.get_close_matches(name, [*SHORT_NAMES, *ENCODERS], n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"unknown encoder: {name}", hint=f"{meant}vqa doctor lists those that run here")
    return ENCODERS[full]
