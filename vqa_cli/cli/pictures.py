"""Options of the commands that take pictures of frames, and how they choose them."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli.console import note
from vqa_cli.stills import STILLS_FOLDER

if TYPE_CHECKING:
    from vqa_cli.analysis.moments import StillsChoice, StillsWish
    from vqa_cli.document import Run
    from vqa_cli.ladder.stills import StillsOrder
    from vqa_cli.report.stills import Album

    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType

_MOST = 12


class StillsCount(_Type):
    """``3``, ``none`` or ``all``."""

    name = "stills"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip().lower()
        if text in ("none", "all") or (text.isdecimal() and 1 <= int(text) <= _MOST):
            return text
        self.fail(f"{value!r} is no number of pictures; write 1 to {_MOST}, none, or all for every rung", param, ctx)


STILLS_DIR_OPTION = click.option(
    "--stills-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the pictures; the report then links them [stills beside the report, and in it up to 6 MB].",
)
STILLS_OPTION = click.option(
    "--stills",
    type=StillsCount(),
    default="3",
    show_default=True,
    metavar="N|none|all",
    help="Pictures of the worst N frames of each recommended rung; all: of every rung.",
)


def wish_of(text: str) -> StillsWish | None:
    """What ``--stills`` asks for; ``None`` for none."""
    from vqa_cli.analysis.moments import StillsWish

    if text == "none":
        return None
    return StillsWish(every=True) if text == "all" else StillsWish(int(text))


def stills_order(options: Mapping[str, Any], folder: Path) -> StillsOrder | None:
    """What pictures the options ask for, below a run's folder; ``None`` for none."""
    if (wish := wish_of(options["stills"])) is None:
        return None
    from vqa_cli.ladder.stills import StillsOrder

    return StillsOrder(options["stills_dir"] or folder / STILLS_FOLDER, _chooser(wish))


def _chooser(wish: StillsWish) -> Any:
    from vqa_cli.analysis.moments import choose_stills

    def choose(run: Run, number: int, frames: Mapping[Any, Any], cuts: Sequence[int]) -> StillsChoice:
        return choose_stills(run, number, frames, cuts, wish)

    return choose


def page_album(runs: Sequence[Run], folders: Sequence[Path | None], page: Path, *, link: bool = False) -> Album:
    """The pictures of a page's runs, each from its folder; says so where the page only links them.

    Raises:
        StorageError: a folder's list of pictures is damaged.
    """
    from vqa_cli.report.stills import Pictures, make_album
    from vqa_cli.stills import read_stills

    found: dict[str, Pictures | None] = {}
    for key, run, folder in zip(string.ascii_uppercase, runs, folders, strict=False):
        stills = read_stills(folder, run) if folder else None
        found[key] = Pictures(stills, folder) if stills and folder else None
    album = make_album(found, page.parent, link=link)
    if album.linked:
        beside = ", ".join(dict.fromkeys(str(known.folder) for known in album.runs.values()))
        note(f"pictures: linked from the report, keep them with it: {beside}")
    return album
