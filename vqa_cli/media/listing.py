"""What ffmpeg itself says that an encoder takes: its options, the names of their values, its pixel formats."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqa_cli.errors import UsageError
from vqa_cli.media.encoders import Encoder
from vqa_cli.media.extra import Pairs
from vqa_cli.media.process import Runner

#   -preset            <int>        E..V....... Encoding preset (from -2 to 13) (default -2)
_OPTION = re.compile(r"^  -(\S+) +<(\w+)> +(\S+) ?(.*)$")
#      faster          0            E..V....... 0
_VALUE = re.compile(r"^     (\S+) ")
_RANGE = re.compile(r"\(from (\S+) to (\S+)\)")
_FORMATS = re.compile(r"^ +Supported pixel formats: (.+)$", re.MULTILINE)
_UPLOADED = ("yuv420p", "yuv420p10le")  # what is carried to a device keeps its depth and chroma
_NUMBERS = frozenset(("int", "int64", "float", "double"))


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its type as ffmpeg names it, the names of its values, and its range where it is a number."""

    kind: str
    about: str
    names: tuple[str, ...] = ()
    low: float = -float("inf")
    high: float = float("inf")

    def takes(self, value: str) -> bool:
        """Whether ``value`` is one of the names, or a number in range; of other types anything is."""
        if value in self.names or self.kind not in _NUMBERS:
            return True
        try:
            return self.low <= float(value) <= self.high
        except ValueError:
            return value[:1].isdigit()  # 512k and 4/3: ffmpeg reads expressions

    @property
    def choices(self) -> str:
        return ", ".join(self.names) or f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What one encoder takes."""

    options: Mapping[str, Option]
    pix_fmts: tuple[str, ...]


def read_listing(runner: Runner, ffmpeg: Path, encoder: Encoder, *, general: bool = False) -> Listing:
    """Ask ffmpeg for an encoder's options, with ``general`` for those that all encoders have too."""
    own = runner.run([str(ffmpeg), "-hide_banner", "-h", f"encoder={encoder.name}"]).stdout
    formats = _FORMATS.search(own)
    options = (_general(runner, ffmpeg) if general else {}) | parse_options(own)
    return Listing(options, tuple(formats[1].split()) if formats else ())


def _general(runner: Runner, ffmpeg: Path) -> dict[str, Option]:
    full = runner.run([str(ffmpeg), "-hide_banner", "-h", "full"]).stdout
    _, _, general = full.partition("AVCodecContext AVOptions:\n")
    return parse_options(general.partition("\n\n")[0])


def parse_options(text: str) -> dict[str, Option]:
    """Options of video encoders, from ffmpeg's help. Pure."""
    found: dict[str, Option] = {}
    last = ""
    for line in text.splitlines():
        if match := _OPTION.match(line):
            name, kind, flags, about = match.groups()
            last = name if flags[0] == "E" and flags[3] == "V" else ""
            if last:
                found[last] = Option(kind, about, (), *_range(about))
        elif last and (value := _VALUE.match(line)):
            old = found[last]
            found[last] = Option(old.kind, old.about, (*old.names, value[1]), old.low, old.high)
    return found


def _range(about: str) -> tuple[float, float]:
    match = _RANGE.search(about)
    return (_number(match[1]), _number(match[2])) if match else (-float("inf"), float("inf"))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # INT_MAX, -FLT_MAX and the like
        return -float("inf") if text.startswith("-") or text.endswith("MIN") else float("inf")


def check_names(encoder: Encoder, listing: Listing, speed: str | None, tune: str | None, pix_fmt: str) -> None:
    """Refuse a preset, a tune or a pixel format that this encoder does not have.

    Raises:
        UsageError: names the nearest, and all there are.
    """
    if speed is not None:
        _check_name(encoder, "speed preset", speed, encoder.speeds, listing.options.get(encoder.speed_key))
    if tune is not None and encoder.name != "libsvtav1":  # its tunes are in svtav1-params, which ffmpeg does not list
        for part in re.split(r"[+,./]", tune) if encoder.tunes else [tune]:
            _check_name(encoder, "tune", part, encoder.tunes, listing.options.get("tune"))
    formats = _UPLOADED if encoder.upload else listing.pix_fmts
    if formats and pix_fmt not in formats:
        raise _unknown(encoder, "pixel format", pix_fmt, formats)


def _check_name(encoder: Encoder, what: str, name: str, known: tuple[str, ...], option: Option | None) -> None:
    if option is None:
        raise UsageError(f"{encoder.name} has no {what}s: {name}", hint="leave it out")
    if known and name not in known:
        raise _unknown(encoder, what, name, [each for each in known if not each.isdigit()])
    if not option.takes(name):
        raise _unknown(encoder, what, name, option.names or (option.choices,))


def _unknown(encoder: Encoder, what: str, name: str, known: Sequence[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return UsageError(f"unknown {what} of {encoder.name}: {name}", hint=f"{meant}it has {', '.join(known)}")


def check_extra(encoder: Encoder, listing: Listing, extra: Pairs) -> None:
    """Refuse options that ffmpeg does not list for this encoder, and those whose value is a file.

    Raises:
        UsageError: says which and why.
    """
    for name, value in extra:
        option = listing.options.get(name)
        if option is None:
            near = difflib.get_close_matches(name, listing.options, n=1)
            hint = f"did you mean -{near[0]}?" if near else f"`ffmpeg -h encoder={encoder.name}` lists them"
            raise UsageError(f"extra of {encoder.name}: -{name} is no option of this encoder", hint=hint)
        if "filename" in option.about.lower() or (option.kind == "string" and "/" in value):
            raise UsageError(f"extra of {encoder.name}: -{name} names a file", hint="leave it out")
        if not option.takes(value):
            raise UsageError(
                f"extra of {encoder.name}: -{name} does not take {value!r}", hint=f"it takes {option.choices}"
            )
