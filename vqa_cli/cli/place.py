"""Where ladders run: this machine, or a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vqa_cli.errors import UsageError

if TYPE_CHECKING:
    from vqa_cli.ladder.executor import Place

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--on", default="local", show_default=True, metavar="local|ray|ray://HOST:PORT",
        help="Where rungs are encoded and measured. ray joins the cluster of RAY_ADDRESS, or starts Ray on this machine.",
    ),
    click.option(
        "--shared", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
        help="With --on: a folder that all nodes see, for encodes beyond 64 MB.",
    ),
)  # fmt: skip


def place_options(command: F) -> F:
    """The options that say where rungs are carried out."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def place_of(options: dict[str, Any]) -> Iterator[Place]:
    """The place chosen on the command line; a cluster is left at the end.

    Raises:
        UsageError: no such place, or Ray is not installed.
        ToolError: the cluster does not answer.
    """
    where: str = options["on"]
    if where == "local":
        if options["shared"] is not None:
            raise UsageError("--shared is for a cluster", hint="--on ray")
        from vqa_cli.ladder.executor import ThisMachine

        yield ThisMachine()
        return
    if where != "ray" and not where.startswith("ray://"):
        raise UsageError(f"no such place: --on {where}", hint="local, ray or ray://HOST:PORT")
    from vqa_cli.cluster.place import LOCAL, join

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody was asked
    address = where if where != "ray" else os.environ.get("RAY_ADDRESS") or LOCAL
    with join(address, options["shared"]) as cluster:
        yield cluster
