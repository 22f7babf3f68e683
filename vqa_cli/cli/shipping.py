"""A recommended ladder in the forms that people ship it by."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from vqa_cli.errors import UsageError
from vqa_cli.names import title_folder
from vqa_cli.text import csv_cell, shell

if TYPE_CHECKING:
    from vqa_cli.analysis.curves import Point
    from vqa_cli.analysis.recommend import Recommendation
    from vqa_cli.document import Run, RungResult, SourceResult

# What a program that watches an encode needs, and a person does not; the number of words that each takes.
_MACHINERY = {
    "-hide_banner": 1, "-nostdin": 1, "-loglevel": 2, "-nostats": 1, "-progress": 2, "-stats_period": 2, "-benchmark": 1,
    "-idct": 2, "-protocol_whitelist": 2, "-y": 1,
}  # fmt: skip
# Frames are numbered to be compared in pairs; sound needs their own times.
_PAIRING = re.compile(r"^(settb|setpts)=")
_BITEXACT = ["-flags", "bitexact"]
_COLUMNS = ("source", "codec", "rung", "width", "height", "setting", "kbps", "metric", "quality", "measured")


def sibling(source: SourceResult, point: Point) -> RungResult:
    """The rung that a point is, or of those between which it lies the one nearest in rate."""
    exact = [rung for rung in source.rungs if rung.id == point.rung]
    alike = [
        rung
        for rung in source.rungs
        if rung.encode and rung.encoder == point.encoder and min(rung.width, rung.height) == point.height
        and point.codec == _codec(rung) and rung.rate.mode == point.mode
    ]  # fmt: skip
    return exact[0] if exact else min(alike, key=lambda rung: abs((rung.rate.crf or 0.0) - (point.crf or 0.0)))


def _codec(rung: RungResult) -> str:
    from vqa_cli.analysis.curves import codec_name

    return codec_name(rung)


def as_json(found: Sequence[Recommendation], more: Sequence[dict[str, object]]) -> str:
    """Everything that is known of the ladders."""
    return json.dumps([asdict(r) | extra for r, extra in zip(found, more, strict=True)], indent=1)


def as_csv(run: Run, found: Sequence[Recommendation]) -> str:
    """One row per rung."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for r, source, point in _rungs(run, found):
        like = sibling(source, point)
        row = (
            csv_cell(r.source), point.codec, csv_cell(point.rung), like.width, like.height, point.setting, f"{point.kbps:.1f}",
            r.metric, f"{point.quality:.4f}", "yes" if point.measured else "no",
        )  # fmt: skip
        writer.writerow(row)
    return text.getvalue().rstrip("\n")


def as_ffmpeg(run: Run, found: Sequence[Recommendation]) -> str:
    """Lines to paste into a shell, video alone."""
    lines = ["# video alone: sound is added by -map 0:a and an audio encoder"]
    before = _before(found)
    told: set[str] = set()
    for r, source, point in _rungs(run, found):
        prepared = source.source.prepare_argv
        own = f"{before[r.source]}{prepared[-2]}" if prepared else ""
        if prepared and r.source not in told:
            told.add(r.source)
            lines.append(shell(pasted(prepared, own)))
        if not point.measured:
            lines.append(f"# {point.rung} was not encoded: about {point.kbps:.0f} kb/s")
        like = sibling(source, point)
        for argv in like.encode_argv:
            words = [f"file:{own}" if prepared and word == f"file:{prepared[-2]}" else word for word in argv]
            last = words[-2] == f"{like.id}.mp4"
            lines.append(
                shell(pasted(_at_crf(words, like, point), f"{before[r.source]}{point.rung}.mp4" if last else None))
            )
    return "\n".join(lines)


def _before(found: Sequence[Recommendation]) -> dict[str, str]:
    """What the names of each source's files start with, where there are several sources."""
    names: dict[str, str] = {}
    for name in dict.fromkeys(r.source for r in found):
        names[name] = title_folder(name, names.values())
    return {name: f"{title}_" if len(names) > 1 else "" for name, title in names.items()}


def _at_crf(argv: Sequence[str], like: RungResult, point: Point) -> list[str]:
    """The command line of a rung at the quality of another point."""
    words = list(argv)
    if like.id == point.rung or point.crf is None:
        return words
    from vqa_cli.media.encoders import find_encoder

    for name, value in find_encoder(like.encoder).quality(point.crf).items():
        words[words.index(f"-{name}") + 1] = value
    return words


def pasted(argv: Sequence[str], output: str | None = None) -> list[str]:
    """A command line as a person would write it, with the same result in ``output`` or where it was."""
    words, at = ["ffmpeg"], 1
    end = len(argv) - (2 if argv[-1] == "-y" else 1)
    while at < end:
        word = argv[at]
        if word in _MACHINERY or list(argv[at : at + 2]) == _BITEXACT:
            at += _MACHINERY.get(word, 2)
            continue
        words.append(word.removeprefix("file:") if words[-1] == "-i" else word)
        at += 1
    return [*_simple_graph(words), output or argv[end]]


def _simple_graph(words: list[str]) -> list[str]:
    """One chain of filters as ``-vf``; any other graph as it is."""
    if "-filter_complex" not in words:
        return words
    at = words.index("-filter_complex")
    found = re.fullmatch(r"\[0:(\d+)\](.*)(\[s\d+\])", words[at + 1])
    links = re.split(r"\[s\d+\];\[s\d+\]", found[2]) if found else []
    if not found or any(re.search(r"\[s?\d", link) for link in links) or words[at + 2 : at + 4] != ["-map", found[3]]:
        return words
    chain = ",".join(link for link in links if not _PAIRING.match(link))
    return [*words[:at], "-map", f"0:{found[1]}", "-vf", chain, *words[at + 4 :]]


def as_hls(run: Run, found: Sequence[Recommendation]) -> str:
    """A master playlist without CODECS, which only the packager knows for certain."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for _, source, point in _rungs(run, _of_one_source(found, "master playlist")):
        like = sibling(source, point)
        lines.append(f"# {point.codec} {point.setting}: add CODECS{_estimate(point)}")
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={_peak(like, point) * 1000:.0f},AVERAGE-BANDWIDTH={point.kbps * 1000:.0f},"
            f"RESOLUTION={like.width}x{like.height},FRAME-RATE={_fps(source):.3f}"
        )
        lines.append(f"{point.rung}.m3u8")
    return "\n".join(lines)


def as_dash(run: Run, found: Sequence[Recommendation]) -> str:
    """A manifest with everything but what only the packager knows: codecs and where the segments lie."""
    chosen = list(_rungs(run, _of_one_source(found, "manifest")))
    seconds = next((source.source.duration_s for _, source, _ in chosen), 0.0)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- the packager adds codecs and segments -->",
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" '
        f'minBufferTime="PT2S" mediaPresentationDuration="PT{seconds:.3f}S">',
        "  <Period>",
    ]
    for codec in dict.fromkeys(point.codec for _, _, point in chosen):
        lines.append('    <AdaptationSet contentType="video" mimeType="video/mp4" segmentAlignment="true">')
        for _, source, point in chosen:
            if point.codec == codec:
                lines += _representation(source, point)
        lines.append("    </AdaptationSet>")
    return "\n".join([*lines, "  </Period>", "</MPD>"])


def _representation(source: SourceResult, point: Point) -> list[str]:
    like = sibling(source, point)
    told = [] if point.measured else [f"      <!-- {escape(_estimate(point)[2:])} -->"]
    return [
        *told,
        f'      <Representation id={quoteattr(point.rung)} bandwidth="{_peak(like, point) * 1000:.0f}" '
        f'width="{like.width}" height="{like.height}" frameRate="{source.source.fps}">',
        f"        <BaseURL>{escape(point.rung)}.mp4</BaseURL>",
        "      </Representation>",
    ]


def _of_one_source(found: Sequence[Recommendation], what: str) -> Sequence[Recommendation]:
    if len(dict.fromkeys(r.source for r in found)) > 1:
        raise UsageError(f"a {what} is for one source", hint="--source NAME")
    return found


def _rungs(run: Run, found: Sequence[Recommendation]) -> Iterator[tuple[Recommendation, SourceResult, Point]]:
    sources = {source.source.name: source for source in run.sources}
    return ((r, sources[r.source], point) for r in found for point in r.chosen)


def _peak(like: RungResult, point: Point) -> float:
    """Peak rate in kb/s: as measured, or as far above the mean as beside it."""
    assert like.encode is not None
    return like.encode.peak_kbps * point.kbps / like.encode.bitrate_kbps


def _estimate(point: Point) -> str:
    return "" if point.measured else "; rates are estimates: it was not encoded"


def _fps(source: SourceResult) -> float:
    numerator, denominator = map(int, source.source.fps.split("/"))
    return numerator / denominator
