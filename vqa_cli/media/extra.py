"""Further encoder options of the user's: read as names and values, and refused where they would make the rung's label untrue,
or name files. Pure; whether the encoder has an option, :mod:`vqa_cli.media.listing` knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vqa_cli.errors import UsageError

Pairs = tuple[tuple[str, str], ...]

# "bf", "bf:v", "bf:v:0": there is one stream. Nothing else that ffmpeg takes for a name, such as "/bf", which reads a file.
_NAME = re.compile(r"-([A-Za-z0-9][A-Za-z0-9_-]*)(?::v)?(?::0)?")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Options that hold the encoder library's own as key=value:key=value.
_NESTED = re.compile(r".*[-_]params|x264opts|ts-parameters")

# What replaces the rate control is refused; what bounds or shapes it (qmin, crf_max, aq-mode) is the user's to tune.
_RATE = "sets the rate control, which the label states", "crf, bitrate or maxrate"
_SPEED = "sets the speed or the tune, which the label states", "preset or tune"
_GOP = "changes where key frames lie, which is the same for all rungs", "gop_s"
_THREADS = "sets the threads, which are the same for all rungs", "threads"
_PICTURE = "changes the size, rate or format of the frames, which the label states", "heights or pix_fmt"
_COLOUR = "sets the colour, which is that of the source", None
_FILE = "names a file", None
_CODEC = "names the encoder, which the label states", "encoder (--codec)"
_OUTPUT = "is about inputs, outputs or filters, which the ladder sets", None

_Reason = tuple[str, str | None]
_NAMES: dict[_Reason, str] = {
    _RATE: "b minrate maxrate bufsize crf qp q qscale global_quality cq rc rc_mode pass passlogfile cbr 2pass multipass "
    "lossless avcintra-class constant_bit_rate",
    _SPEED: "preset tune cpu-used deadline quality speed usage compression_level",
    _GOP: "g keyint_min sc_threshold forced-idr forced_idr period intra-refresh no-scenecut strict_gop idr_interval flags "
    "force_key_frames adaptive_i",
    _THREADS: "threads thread_type row-mt",
    _PICTURE: "s r aspect sar fps_mode vsync pix_fmt field_order lowres enc_time_base frames vframes t to ss",
    _COLOUR: "colorspace color_primaries color_trc color_range",
    _FILE: "stats x265-stats vstats vstats_file report print_graphs_file",
    _CODEC: "c codec vcodec tag vtag",
    _OUTPUT: "i f map y n vf filter filter_complex lavfi an vn sn dn attach metadata map_metadata bsf movflags",
}
# Keys of the libraries' own options, of all libraries: none means another thing elsewhere. A dash stands for an underscore too.
_KEYS: dict[_Reason, str] = {
    _RATE: "crf qp q qp-constant bitrate tbr mbr rc rc-mode rate-control end-usage target-bitrate targetbitrate maxbitrate "
    "maxrate max-bitrate cq-level vbv-maxrate vbv-bufsize buf-sz pass passes lossless zones strict-cbr use-fixed-qp-offsets "
    "ts-target-bitrate use-q-file",
    _SPEED: "preset tune enc-mode speed cpu-used deadline",
    _GOP: "keyint min-keyint keyint-min scenecut scd open-gop intra-refresh irefresh-type intra-period keyint-s "
    "enable-force-key-frames decodingrefreshtype refreshsec rs dr ip idrperiod intraperiod kf-max-dist kf-min-dist disable-kf "
    "fwdkf enable-fwd-kf sframe-dist sframe-posi all-intra",
    _THREADS: "threads pools numa-pools frame-threads lp sync-lookahead numthreads row-mt",
    _PICTURE: "fps fps-num fps-denom sar width height input-res source-width source-height input-csp input-depth input-bit-depth "
    "output-depth bit-depth color-format interlace interlaced field tff bff pulldown frames total-frames chunk-start chunk-end "
    "resize-mode resize-denominator resize-denom frame-resz-events forced-max-frame-width forced-max-frame-height "
    "forced_max_frame_width frame-dup drop-frame temporal-layers i400 monochrome large-scale-tile",
    _COLOUR: "colorprim transfer colormatrix range fullrange color-primaries transfer-characteristics matrix-coefficients "
    "color-range color-matrix color-transfer video-signal-type-preset",
    _FILE: "qpfile cqmfile cqm lambda-file scaling-list zonefile csv recon dump-yuv nalu-file dhdr10-info dolby-vision-rpu "
    "film-grain-table fgs-table aom-film-grain opencl-clbin fpf second-pass-log two-pass-output partition-info-path "
    "vmaf-model-path rate-distribution-info rcstatsfile abr-ladder",
}
# A library may have keys that are not above: these parts of a name say that its value is a file, or writes one.
_FILE_WORDS = frozenset(
    ("file", "path", "log", "logfile", "stats", "dump", "csv", "table", "save", "load", "output", "input", "yuv")
)
_HARMLESS = frozenset(("log-level", "log", "csv-log-level"))
# Values of the keys above that name no file.
_PLAIN_VALUES = {"cqm": ("flat", "jvt"), "scaling-list": ("off", "default"), "scenecut": (), "film-grain": ()}
_BY_NAME = {name: reason for reason, names in _NAMES.items() for name in names.split()}
_BY_KEY = {key: reason for reason, keys in _KEYS.items() for key in keys.split()}


def parse_extra(encoder: str, words: Sequence[str]) -> Pairs:
    """``("-bf", "3", "-x265-params", "aq-mode=3")`` as names without their dash and values.

    Raises:
        UsageError: no pairs, or an option that is not the user's to set; says which and why.
    """
    if len(words) % 2:
        raise UsageError(f"extra of {encoder} must be pairs of -option and value: {' '.join(words)}")
    pairs = []
    for word, value in zip(words[::2], words[1::2], strict=True):
        match = _NAME.fullmatch(word)
        if not match:
            raise UsageError(f"extra of {encoder}: {word!r} is no option", hint='pairs such as "-bf 3 -aq-mode 2"')
        name = match[1]
        if reason := _BY_NAME.get(name.lower()):
            raise _refusal(encoder, f"-{name}", reason)
        if _NESTED.fullmatch(name):
            for key, inner in nested(encoder, name, value):
                _check_key(encoder, name, key, inner)
        pairs.append((name, value))
    return tuple(pairs)


def nested(encoder: str, option: str, text: str) -> Iterator[tuple[str, str]]:
    """The keys and values of ``aq-mode=3:no-sao=1``; a key alone has the value ``"1"``.

    Raises:
        UsageError: not such a list. Quotes and backslashes are refused: what ffmpeg makes of them need not be what is
            read here.
    """
    if any(char in text for char in "\\'\""):
        raise UsageError(
            f"extra of {encoder}: no quotes or backslashes in -{option}: {text}",
            hint="a comma does where a value has several parts: deblock=-1,-1",
        )
    for part in text.split(":"):
        key, given, value = part.partition("=")
        if not _KEY.fullmatch(key):
            raise UsageError(f"extra of {encoder}: -{option} must be key=value:key=value, not {text!r}")
        yield key, value if given else "1"


def _check_key(encoder: str, option: str, key: str, value: str) -> None:
    plain = key.lower().replace("_", "-")
    plain = plain.removeprefix("no-")
    shown = f"{key} in -{option}"
    if plain in _PLAIN_VALUES and value in _PLAIN_VALUES[plain]:
        return
    if option == "x265-params" and plain == "film-grain":  # SVT-AV1's is a number
        raise _refusal(encoder, shown, _FILE)
    if reason := _BY_KEY.get(plain):
        raise _refusal(encoder, shown, reason)
    named = plain not in _HARMLESS and not _FILE_WORDS.isdisjoint(plain.split("-"))
    if named or plain.endswith("file") or "/" in value:
        raise _refusal(encoder, shown, _FILE)


def _refusal(encoder: str, what: str, reason: _Reason) -> UsageError:
    why, instead = reason
    hint = f"that is for {instead}, in the preset or as an option" if instead else "leave it out"
    return UsageError(f"extra of {encoder}: {what} {why}", hint=hint)
