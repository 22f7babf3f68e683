"""``--show-config``: every value that a ladder would use, and who set it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vqa_cli.cli.console import table, window

if TYPE_CHECKING:
    from vqa_cli.document import RatePoint
    from vqa_cli.settings import CodecSettings, LadderSettings

Row = tuple[str, str, str]
_DEFAULT = "default"
_ORIGINS = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT: _DEFAULT,
}
_NOT_VALUES = ("show_config", "dry_run")
# Settings of a codec: as an option calls them, the option's parameter, and the preset's key.
_OF_CODEC = (
    ("crf", "crf", "crf"), ("bitrate", "bitrate", "bitrate"), ("maxrate", "maxrate", "maxrate"),
    ("bufsize", "bufsize", "bufsize"), ("maxrate-ratio", "", "maxrate_ratio"), ("bufsize-ratio", "", "bufsize_ratio"),
    ("encoder-preset", "encoder_preset", "preset"), ("tune", "tune", "tune"), ("pix-fmt", "pix_fmt", "pix_fmt"),
    ("extra", "extra", "extra"),
)  # fmt: skip
# Settings of the whole ladder that no option sets.
_OF_PRESET = ("downscale", "upscale")


def config_table(ctx: click.Context, settings: LadderSettings) -> str:
    """All values, each codec's own among them."""
    rows = [
        *_of_options(ctx, settings),
        *_of_sizes(ctx, settings),
        *_of_codecs(ctx, settings),
        *_of_preset(ctx, settings),
    ]
    return table(["option", "value", "from"], sorted(rows), width=window())


def _preset(ctx: click.Context) -> str:
    return f"preset {ctx.params['preset']}"


def _origin(ctx: click.Context, name: str) -> str:
    source = ctx.get_parameter_source(name)
    return _ORIGINS.get(source, _preset(ctx)) if source else _DEFAULT


def _of_options(ctx: click.Context, settings: LadderSettings) -> Iterator[Row]:
    """Options that are no codec's and no size's."""
    others = {"codecs", "heights", *(parameter for _, parameter, _ in _OF_CODEC)}
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if isinstance(parameter, click.Option) and parameter.expose_value and name not in (*others, *_NOT_VALUES):
            value = ctx.params[name]
            if value is None:
                value = getattr(settings, name, None)
            yield parameter.opts[-1].removeprefix("--"), _plain(value), _origin(ctx, name)


def _of_sizes(ctx: click.Context, settings: LadderSettings) -> Iterator[Row]:
    given = ctx.params["heights"] is not None
    if settings.rungs:
        from vqa_cli.ladder.plan import fixed_rate

        yield "rungs", ", ".join(f"{rung.height}p {_rate(fixed_rate(rung))}" for rung in settings.rungs), _preset(ctx)
    else:
        yield "height", _plain(settings.heights), _origin(ctx, "heights") if given else _preset(ctx)


def _rate(rate: RatePoint) -> str:
    return f"{rate.label} (bufsize {rate.bufsize_kbps:g}k)" if rate.bufsize_kbps else rate.label


def _of_codecs(ctx: click.Context, settings: LadderSettings) -> Iterator[Row]:
    given = ctx.params["codecs"] is not None
    encoders = [codec.encoder for codec in settings.codecs]
    names = [f"{name} ({n})" if encoders.count(name) > 1 else name for n, name in enumerate(encoders, 1)]
    yield "codec", ", ".join(names), _origin(ctx, "codecs") if given else _preset(ctx)
    for name, codec, told in zip(names, settings.codecs, _told_by_preset(ctx, settings), strict=True):
        for option, parameter, key in _OF_CODEC:
            value = _of_codec(codec, key)
            if value in (None, ()) or (key.endswith("_ratio") and not codec.bitrate):
                continue
            if parameter and _applies(ctx.params[parameter], key, codec.encoder):
                origin = _origin(ctx, parameter)
            else:
                origin = _preset(ctx) if key in told else _DEFAULT
            yield f"{option} {name}", _plain(value), origin


def _told_by_preset(ctx: click.Context, settings: LadderSettings) -> Iterator[dict[str, Any]]:
    """What the preset says of each codec: the entry that it was made from, or nothing."""
    from vqa_cli.media.encoders import find_encoder

    entries: Sequence[dict[str, Any]] = ctx.meta["preset"].get("codecs", [])
    by_name = {find_encoder(str(entry.get("encoder", ""))).name: entry for entry in reversed(entries)}
    for number, codec in enumerate(settings.codecs):
        if ctx.params["codecs"] is None:
            yield entries[number]
        else:
            yield by_name.get(find_encoder(codec.encoder).name, {})


def _of_codec(codec: CodecSettings, key: str) -> Any:
    """A codec's value; the encoder's own speed where nobody names one."""
    from vqa_cli.media.encoders import find_encoder

    value = getattr(codec, key)
    return find_encoder(codec.encoder).default_speed or None if key == "preset" and value is None else value


def _applies(value: Any, key: str, encoder: str) -> bool:
    """Whether what an option says is said of this encoder too."""
    from vqa_cli.ladder.overrides import for_encoder

    if key in ("preset", "tune", "pix_fmt"):
        return value is not None and for_encoder(value, encoder) is not None
    return value is not None


def _of_preset(ctx: click.Context, settings: LadderSettings) -> Iterator[Row]:
    told = ctx.meta["preset"]
    for key in _OF_PRESET:
        yield key, _plain(getattr(settings, key)), _preset(ctx) if key in told else _DEFAULT
    for key, value in settings.recommend.model_dump(exclude_none=True, exclude_unset=True).items():
        yield f"recommend.{key}", _plain(value), _preset(ctx)


def _plain(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_plain, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
