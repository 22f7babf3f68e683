"""A run as notebooks and spreadsheets want it: rows and data frames, and a picture with a table."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, PrivateAttr

from vqa_cli.errors import StorageError, UsageError
from vqa_cli.frametable import FRAMES_FILE, FrameValues, RunFrames, length_of, read_frames

if TYPE_CHECKING:
    import pandas as pd

    from vqa_cli.document import Run, RungResult, SourceResult

POOLINGS = ("mean", "harmonic_mean", "min", "p1", "p5", "p10")
_FACTS = (
    "source", "rung", "status", "encoder", "encoder_preset", "width", "height", "rate", "bitrate_kbps", "peak_kbps",
    "file_bytes", "frames", "encode_wall_s", "encode_cpu_s", "encode_fps", "score", "score_delta_to_source",
)  # fmt: skip
_SHOWN_SOURCES = 3


class InNotebooks(BaseModel):
    """What a run can do in a notebook."""

    # Frame values, or the file that they lie in; not part of the document, and nothing that two runs could differ by.
    _frames: Path | tuple[list[str], RunFrames] | None = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def keep_frames(self, values: Path | RunFrames) -> None:
        """Remember frame values by (source index, rung) or the file that has them, for :meth:`frames`."""
        # By name: a copy of the run may have other sources.
        names = [source.source.name for source in cast("Run", self).sources]
        self._frames = values if isinstance(values, Path) else (names, values)

    def frame_values(self) -> RunFrames | None:
        """Frame values by (source index, rung id), ``"source"`` for the source itself; ``None`` where they are not known.

        Raises:
            StorageError: ``frames.parquet`` cannot be read; it may be only when a clip is asked for that this turns out.
        """
        names = [source.source.name for source in cast("Run", self).sources]
        if self._frames is None or isinstance(self._frames, Path):
            return None if self._frames is None else read_frames(self._frames, names)
        known, values = self._frames
        if known == names:
            return values
        return {(names.index(known[i]), rung): table for (i, rung), table in values.items() if known[i] in names}

    def rungs(self) -> pd.DataFrame:
        """One row per rung, as ``rungs.csv`` has them."""
        import pandas as pd

        run = cast("Run", self)
        return pd.DataFrame(list(rung_rows(run)), columns=rung_columns(run))

    def frames(self) -> pd.DataFrame:
        """One row per frame: source, rung (``source`` for the source itself), frame, time_s, then the metrics.

        Raises:
            StorageError: nothing is known of single frames, or ``frames.parquet`` cannot be read.
        """
        if (values := self.frame_values()) is None:
            where = f": {self._frames}" if self._frames else ""
            hint = f"they lie in {FRAMES_FILE} beside the run.json of `vqa ladder`"
            raise StorageError(f"no frame values{where}", hint=hint)
        return frames(cast("Run", self), values)

    def _repr_html_(self) -> str:
        return html(cast("Run", self))


def rung_rows(run: Run) -> Iterator[dict[str, object]]:
    """One row per rung, units in the column names."""
    named = _named_intervals(run)
    rungs = ((source, rung) for source in run.sources for rung in source.rungs)
    return (_rung_row(source, rung, run.metrics) | _interval_cells(rung, named) for source, rung in rungs)


def rung_columns(run: Run) -> list[str]:
    """The names of a row's cells, which a run without rungs has too."""
    scores = [f"score_frame_{name}" for name in POOLINGS[1:]]
    metrics = [f"{metric}_{name}" for metric in run.metrics for name in POOLINGS]
    intervals = [f"{name}_{end}" for name in _named_intervals(run) for end in ("low", "high")]
    return [*_FACTS, *scores, *metrics, "reason", *intervals]


def _named_intervals(run: Run) -> list[str]:
    """Only samples leave intervals."""
    return list(dict.fromkeys(name for source in run.sources for rung in source.rungs for name in rung.intervals))


def _interval_cells(rung: RungResult, names: list[str]) -> dict[str, object]:
    ends = {name: rung.intervals.get(name, (None, None)) for name in names}
    return {
        f"{name}_{end}": value for name, pair in ends.items() for end, value in zip(("low", "high"), pair, strict=True)
    }


def _rung_row(source: SourceResult, rung: RungResult, metrics: tuple[str, ...]) -> dict[str, object]:
    encode, score = rung.encode, rung.score
    facts = (
        source.source.name, rung.id, rung.status, rung.encoder, rung.encoder_preset, rung.width, rung.height, rung.rate.label,
        encode and encode.bitrate_kbps, encode and encode.peak_kbps, encode and encode.file_bytes, encode and encode.frames,
        encode and encode.wall_s, encode and encode.cpu_s, encode and encode.fps, score and score.score,
        score and score.delta_to_source,
    )  # fmt: skip
    row: dict[str, object] = dict(zip(_FACTS, facts, strict=True))
    row |= {f"score_frame_{name}": rung.quality("model", name) for name in POOLINGS[1:]}
    row |= {f"{metric}_{name}": rung.quality(metric, name) for metric in metrics for name in POOLINGS}
    return row | {"reason": rung.reason}


def frames(run: Run, values: RunFrames) -> pd.DataFrame:
    """See :meth:`InNotebooks.frames`."""
    import pandas as pd

    named = [(source.source.name, float(Fraction(source.source.fps))) for source in run.sources]
    clips = [_clip(*named[index], rung, table) for (index, rung), table in values.items()]
    columns = ["source", "rung", "frame", "time_s", *(["model"] if run.model else []), *run.metrics]
    return pd.concat(clips, ignore_index=True).reindex(columns=columns) if clips else pd.DataFrame(columns=columns)


def _clip(source: str, fps: float, rung: str, values: FrameValues) -> pd.DataFrame:
    import pandas as pd

    frame = pd.RangeIndex(length_of(values))
    return pd.DataFrame({"source": source, "rung": rung, "frame": frame, "time_s": frame / fps, **values})


def html(run: Run) -> str:
    """What a notebook shows of a run: its charts, and a table of its rungs with the recommended ladder marked."""
    from vqa_cli.report.picture import picture

    shown = run.model_copy(update={"sources": run.sources[:_SHOWN_SOURCES]})
    try:
        chart = picture([shown])
    except UsageError:  # nothing was measured
        chart = ""
    more = len(run.sources) - len(shown.sources)
    left = f"<p>{more} more sources: the charts show the first {_SHOWN_SOURCES}.</p>" if more > 0 else ""
    table = f'<div style="max-height:24em;overflow:auto">{_table(run)}</div>'
    return f"<div><p><code>{escape(repr(run))}</code></p>{chart}{left}{table}</div>"


def _table(run: Run) -> str:
    from vqa_cli.report.view import build_page

    page = build_page([run])
    heads = ["source", "codec", "size", "setting", "kb/s", "CPU s"]
    labels = {label.key: label for title in page.titles for label in title.metrics}
    rows = []
    for title in page.titles:
        for view in title.rungs:
            encode = view.encode
            cells = [title.name, view.codec, view.size, view.rung.rate.label]
            cells += [f"{encode.bitrate_kbps:.0f}", f"{encode.cpu_s:.1f}"] if encode else [view.rung.status, ""]
            cells += [label.show(view.quality.get(key, {}).get("mean")) for key, label in labels.items()]
            rows.append([*cells, "✓" if view.chosen else ""])
    names = [*heads, *(label.name for label in labels.values()), "ladder"]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
