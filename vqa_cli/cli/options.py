"""Option types and option groups that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.console import note
from vqa_cli.cli.weights import with_weights
from vqa_cli.metrics import metric_names
from vqa_cli.model.memory import prepare_process
from vqa_cli.settings import parse_kbps

F = TypeVar("F", bound=Callable[..., Any])


if TYPE_CHECKING:
    from vqa_cli.identity import ModelIdentity
    from vqa_cli.model.scorer import StreamingScorer
    from vqa_cli.values import Scorer

    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType


class NumberList(_Type):
    """``18,23,28`` or ``18:38:4`` (start:stop:step, the stop included)."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, (tuple, list)):
            return tuple(float(v) for v in value)
        try:
            numbers = parse_numbers(str(value))
        except ValueError as err:
            self.fail(str(err), param, ctx)
        return numbers


def parse_numbers(text: str) -> tuple[float, ...]:
    """Read ``18,23,28`` or ``18:38:4``; the stop is included when a step meets it.

    Raises:
        ValueError: not a list of numbers, an empty one, or a step that leads nowhere.
    """
    if ":" not in text:
        try:
            return tuple(float(part) for part in text.split(","))
        except ValueError:
            raise ValueError(f"{text!r} is no list of numbers; write 18,23,28 or 18:38:4") from None
    try:
        start, stop, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(f"{text!r} is no range; write start:stop:step, e.g. 18:38:4") from None
    if step <= 0 or stop < start or (stop - start) / step > 1000:
        raise ValueError(f"{text!r} is an empty or endless range")
    return tuple(round(start + i * step, 6) for i in range(int((stop - start) / step + 1e-9) + 1))


class RateList(_Type):
    """``300k,1.5M``."""

    name = "rates"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, (tuple, list)):
            return tuple(parse_kbps(v) for v in value)
        try:
            return tuple(parse_kbps(part) for part in str(value).split(","))
        except ValueError as err:
            self.fail(str(err), param, ctx)


class IntList(_Type):
    """``360,540,720``."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, (tuple, list)):
            return tuple(int(v) for v in value)
        try:
            return tuple(int(part.rstrip("p")) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of sizes; write 360,540,720", param, ctx)


class IdList(_Type):
    """``0-9`` or ``0,3,5-7``: whole numbers, both ends of a range included."""

    name = "ids"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, (tuple, list)):
            return tuple(int(v) for v in value)
        ids: list[int] = []
        for part in str(value).split(","):
            first, _, last = part.partition("-")
            if not (first.isdigit() and (last or first).isdigit() and int(first) <= int(last or first) < 100_000):
                self.fail(f"{value!r} is no list of splits; write 0-9 or 0,3,5", param, ctx)
            ids += range(int(first), int(last or first) + 1)
        return tuple(dict.fromkeys(ids))


class MetricList(_Type):
    """``vmaf,psnr`` or ``none``."""

    name = "metrics"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, (tuple, list)):
            return tuple(value)
        try:
            return metric_names(str(value))
        except ValueError as err:
            self.fail(str(err), param, ctx)


class BatchSize(_Type):
    """A number or ``auto``."""

    name = "batch"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "auto":
            return "auto"
        if not str(value).isdigit() or int(value) < 1:
            self.fail(f"{value!r} is neither a positive number nor auto", param, ctx)
        return int(value)


MODEL_DIR_OPTION = click.option(
    "--model-dir", type=click.Path(path_type=Path), envvar="VQA_MODEL_DIR", 
    help="Where downloaded weights lie [your data folder].",
)  # fmt: skip


def format_option(*choices: str, about: str = "For people, or for programs.") -> Callable[[F], F]:
    """``--format``, the first choice of which holds where none was made."""
    return click.option(
        "--format", "output_format", type=click.Choice(choices), default=choices[0], show_default=True, help=about
    )


# Of the commands that list what is here.
LISTING_FORMAT_OPTION = format_option("table", "json")
_MODEL_OPTIONS = (
    click.option("--model", shell_complete=suggest.models, help="vsfa-lite, vsfa, mdtvsfa, a .safetensors file, or none."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
    click.option(
        "--precision", type=click.Choice(["auto", "fp32", "mixed", "bf16", "fp16"]), default="auto", show_default=True,
        help="Arithmetic of a ResNet-50 backbone. With auto it is fp16 on a GPU, and on a CPU mixed, "
        "which keeps the first 2 of 16 blocks in fp32 and the rest in bf16. Hardware without these has fp32. vsfa-lite has int8.",
    ),
    click.option("--batch-size", type=BatchSize(), default="auto", show_default=True, help="Frames per forward pass."),
    MODEL_DIR_OPTION,
    click.option("--backbone-weights", type=click.Path(path_type=Path), help="Other ResNet-50 weights (unverified)."),
    click.option("--head-weights", type=click.Path(path_type=Path), help="Another head for vsfa or mdtvsfa (unverified)."),
    click.option("--tau", type=click.IntRange(1), help="Window of the temporal pooling in frames [the model's]."),
    click.option("--beta", type=click.FloatRange(0, 1), help="Weight of the present in the pooling [the model's]."),
    click.option(
        "--pooling", type=click.Choice(["hysteresis", "paper", "mean"]), default="hysteresis", show_default=True,
        help="Over time: as VSFA's code, as its paper, or the plain mean. Another one needs no new decode.",
    ),
    click.option(
        "--matrix", "color", type=click.Choice(["auto", "reference"]), default="auto", show_default=True,
        help="Untagged video, for models that see RGB: matrix by size as players do, or BT.601 as the authors' code.",
    ),
)  # fmt: skip
JOBS_OPTION = click.option(
    "--jobs", type=click.IntRange(1), help="Rungs in work at once [cores / threads, at least 2]."
)
REPEAT_OPTION = click.option(
    "--repeat",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Encode everything so often, for its scatter.",
)
FFMPEG_OPTION = click.option("--ffmpeg", metavar="PROGRAM", help="Use this ffmpeg instead of the embedded one.")


PROTOCOLS_OPTION = click.option(
    "--allow-protocols",
    is_flag=True,
    help="Fetch sources such as http://… or concat:a.ts|b.ts, and what playlists name, before the work.",
)


CACHE_DIR_OPTION = click.option(
    "--cache-dir", type=click.Path(path_type=Path), envvar="VQA_CACHE_DIR", help="Where results are remembered [your cache folder]."
)  # fmt: skip
CACHE_OPTIONS = (
    CACHE_DIR_OPTION,
    click.option("--no-cache", is_flag=True, help="Measure everything again and remember nothing."),
)


def cache_dir(options: dict[str, Any]) -> Path | None:
    """The folder chosen on the command line, ``None`` for ``--no-cache``."""
    from vqa_cli.store.content import default_cache_dir

    chosen: Path | None = options["cache_dir"]
    return None if options["no_cache"] else chosen or default_cache_dir()


def cache_options(command: F) -> F:
    """The options that say where results are remembered."""
    for option in reversed(CACHE_OPTIONS):
        command = option(command)
    return command


def model_options(command: F) -> F:
    """The options that choose the scorer."""
    for option in reversed(_MODEL_OPTIONS):
        command = option(command)
    return command


_MODEL_NAMES = (
    "device", "precision", "batch_size", "model_dir", "backbone_weights", "head_weights", "tau", "beta", "pooling", "color",
)  # fmt: skip


def load_chosen_scorer(
    model: str, options: dict[str, Any], *, threads: int | None = None, every: int | None = 1
) -> Scorer | None:
    """The scorer named on the command line, ``None`` for ``--model none``. Published weights come at their first use.

    Warnings tell of installed weights that are not what their name says, those that the user named being what they are; and
    of a model that will be shown each ``every``-th frame while it learnt from others (``None``: it is shown its own).

    Args:
        threads: of a large network that works beside encodes. One that comes with its file has one there: its operators are so
            small that waiting for a second thread costs more than that does.
    """
    if model == "none":
        return None
    from vqa_cli.model.deferred import defer

    wanted = {name: options[name] for name in _MODEL_NAMES}
    small = None if threads is None else 1
    scorer = defer(model, wanted, lambda: _load(model, wanted, small)) or _load(model, wanted, threads)
    _warn(scorer.identity, options, every)
    return scorer


def load_whole_scorer(model: str, options: dict[str, Any]) -> StreamingScorer:
    """As :func:`load_chosen_scorer`, with its network; shown the frames that it learnt from."""
    scorer = _load(model, {name: options[name] for name in _MODEL_NAMES}, None)
    _warn(scorer.identity, options, None)
    return scorer


def _load(model: str, wanted: dict[str, Any], threads: int | None) -> StreamingScorer:
    prepare_process(threads)
    from vqa_cli.model.load import load_scorer

    return with_weights(lambda: load_scorer(model, **wanted))


def _warn(identity: ModelIdentity, options: dict[str, Any], every: int | None) -> None:
    from vqa_cli.model.registry import not_as_published

    named = {part for part in ("backbone", "head") if options[f"{part}_weights"] is not None}
    if wrong := not_as_published(file for part, file in identity.files.items() if part not in named):
        note(f"warning: not the published weights: {' and '.join(wrong)}; see `vqa models verify`")
    if (learnt := identity.every) != (every or learnt):
        note(f"warning: {identity.name} was trained on 1 in {learnt} frames and is shown 1 in {every}")
