"""Commands as all of ``vqa`` has them: help in sections, groups that explain themselves, hints that can be followed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import click

from vqa_cli.cli.console import COLOURS, Colour, choose_colour, note
from vqa_cli.errors import VqaError

# The help of a command with many options: sections in their order, each with the options that stand there.
_SECTIONS = {
    "Source": "allow_protocols start duration tonemap deinterlace samples sample_s segments catalogue",
    "Ladder": "preset codecs codec heights height crf bitrate maxrate bufsize encoder_preset tune pix_fmt extra gop_s threads "
    "flags baseline_flags candidate_flags min_crf max_crf min_kbps max_kbps step explore loss encodes",
    "Measuring": "metrics metric target statistic over policy reference display judged_at score_at every repeat confirm "
    "min_score",
    "Model": "model device precision batch_size model_dir",
    "Running": "jobs on shared cache_dir no_cache skip_missing ffmpeg encode_ffmpeg baseline_ffmpeg candidate_ffmpeg",
    "Output": "output save report keep_encodes stills stills_dir output_format per_frame show_config dry_run quiet colour",
    "For research": "backbone_weights head_weights tau beta pooling color",
}
_SECTION_OF = {name: section for section, names in _SECTIONS.items() for name in names.split()}
_OTHERS = "Options"
_MANY = 12
_FORMAT, _COMMAND = "vqa.format", "vqa.command"
_JSON = ("json", "ndjson")
# Code and quotations name what belongs to other commands or programs.
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^']*'")
_FLAG = re.compile(r"(?<![\w-])(?:--[a-z][a-z0-9-]*|-[a-z])(?![\w-])")


def _choose(_ctx: click.Context, _param: click.Parameter, value: Colour | None) -> None:
    if value is not None:
        choose_colour(value)


def color_option() -> click.Option:
    """``--color``, which every command takes."""
    return click.Option(
        ["--color", "colour"], type=click.Choice(COLOURS), expose_value=False, callback=_choose,
        help="Colour in what is printed [auto: on a terminal, unless NO_COLOR is set].",
    )  # fmt: skip


class Command(click.Command):
    """A command that does something.

    Args:
        through: an option that takes flags for another command, as ``--flags`` of the gate, and what gives those flags.
    """

    def __init__(self, *args: Any, through: tuple[str, Callable[[], Collection[str]]] | None = None, **attributes: Any):
        super().__init__(*args, **attributes)
        self._through = through
        self.params.append(color_option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_FORMAT], ctx.meta[_COMMAND] = self._asked_format(ctx, args), self
        with self._hints():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        _hear_warnings()
        with self._hints():
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = {id(parameter) for parameter in self.params}
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = [(p.name if id(p) in own else "help", p.get_help_record(ctx)) for p in options]
        listed = [(name, record) for name, record in records if record is not None]
        if len(listed) <= _MANY:
            _write(formatter, _OTHERS, [record for _, record in listed])
            return
        for section in (_OTHERS, *_SECTIONS):
            _write(formatter, section, [r for name, r in listed if _section(name) == section])

    @contextmanager
    def _hints(self) -> Iterator[None]:
        """Errors on their way out keep of their hints what can be done by this command."""
        try:
            yield
        except VqaError as err:
            err.hint = self.possible(err.hint)
            raise

    def possible(self, hint: str | None) -> str | None:
        """What of a hint can be done by this command."""
        flag, passed = self._through or ("", frozenset)
        return possible(hint, flags_of(self), through=flag, passed=passed)

    def _asked_format(self, ctx: click.Context, args: list[str]) -> str | None:
        """The output format, known before anything about the arguments is found to be wrong."""
        known = next((p for p in self.params if p.name == "output_format"), None)
        if known is None:
            return None
        args = args[: args.index("--")] if "--" in args else args  # what follows is another program's
        given = [after for before, after in pairwise(args) if before == "--format"]
        given += [arg.removeprefix("--format=") for arg in args if arg.startswith("--format=")]
        return given[-1] if given else known.resolve_envvar_value(ctx)


def _hear_warnings() -> None:
    """What the work warns of by ``logging`` is a line for the person at the terminal, like every other."""
    import logging

    class Noted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note(record.getMessage())

    logger = logging.getLogger("vqa_cli")
    if not logger.handlers:
        logger.addHandler(Noted(logging.WARNING))


def _section(name: str | None) -> str:
    return "Output" if name == "help" else _SECTION_OF.get(name or "", _OTHERS)


def _write(formatter: click.HelpFormatter, section: str, records: list[tuple[str, str]]) -> None:
    if records:
        with formatter.section(section):
            formatter.write_dl(records)


class Group(click.Group):
    """A command that others stand below; alone it says which, and that is no error."""

    command_class = Command
    group_class = type

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)


def asks_for_json(ctx: click.Context) -> bool:
    """Whether the command that was run, or was to be, was asked for JSON."""
    return ctx.meta.get(_FORMAT) in _JSON


def possible_here(hint: str, ctx: click.Context | None) -> str | None:
    """What of a hint can be done by the command that was run."""
    command = ctx.meta.get(_COMMAND) if ctx else None
    return command.possible(hint) if isinstance(command, Command) else possible(hint, ())


def flags_of(command: click.Command) -> frozenset[str]:
    """``--crf``, ``-o``, …: every spelling of every option."""
    return frozenset(flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts))


def flags_in(text: str) -> list[str]:
    """The options that a hint names as those of the command at hand."""
    return _FLAG.findall(_QUOTED.sub("", text))


def possible(
    hint: str | None, flags: Collection[str], *, through: str = "", passed: Callable[[], Collection[str]] = frozenset
) -> str | None:
    """Of a hint, whose parts are separated by semicolons, those that name no option that the command lacks.

    Args:
        through: the option by which the command hands on the flags that ``passed`` gives.
    """
    parts = []
    for part in hint.split("; ") if hint else ():
        missing = [flag for flag in flags_in(part) if flag not in flags]
        if not missing:
            parts.append(part)
        elif through and all(flag in passed() for flag in missing):
            parts.append(f"in {through}: {part}")
    return "; ".join(parts) or None
