"""Sources are looked at on nodes, several ahead of the one whose turn it is: each look decodes a whole file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqa_cli.cluster import work
from vqa_cli.cluster.crew import Crew
from vqa_cli.cluster.travel import Lost, Sealed, Unfit
from vqa_cli.errors import InputError, ToolError, VqaError
from vqa_cli.measure.source import Source
from vqa_cli.values import Treatment

_TRIES = 4


class Looks:
    """What :meth:`vqa_cli.measure.source.Inspector.look` says, from any node.

    Args:
        paths: all sources, in the order in which they will be asked for.
    """

    def __init__(self, sealed: Sealed, crew: Crew, paths: Sequence[Path]) -> None:
        import ray

        self._ray: Any = ray
        self._look: Any = ray.remote(work.look)
        self._sealed, self._crew = sealed, crew
        self._paths = [path.absolute() for path in paths]
        self._ahead: dict[tuple[Path, Treatment], Any] = {}
        self._seen: dict[tuple[Path, Treatment], Source] = {}

    @property
    def begun(self) -> list[Any]:
        """References to looks that nobody has asked for yet."""
        return list(self._ahead.values())

    def look(self, path: Path, treatment: Treatment) -> Source:
        """The source as a node sees it; the next ones are begun.

        Raises:
            InputError: it is no usable video, or no node sees it.
            ToolError: ffmpeg failed, or the nodes that looked died.
        """
        path = path.absolute()  # nodes work in folders of their own
        if (path, treatment) not in self._seen:
            self._crew.muster()
            self._begin_from(path, treatment)
            self._seen[path, treatment] = self._wait(path, treatment)
        return self._seen[path, treatment]

    def _begin_from(self, path: Path, treatment: Treatment) -> None:
        at = self._paths.index(path) if path in self._paths else len(self._paths)
        for one in (path, *self._paths[at + 1 : at + self._crew.slots]):
            if (one, treatment) not in self._seen and (one, treatment) not in self._ahead:
                self._begin(one, treatment)

    def _begin(self, path: Path, treatment: Treatment) -> None:
        on = self._look.options(max_retries=0, **self._crew.wanted(str(path)))
        self._ahead[path, treatment] = on.remote(self._sealed, path, treatment)

    def _wait(self, path: Path, treatment: Treatment) -> Source:
        why = ""
        for _ in range(_TRIES):
            try:
                came: Source | Unfit | Lost | VqaError = self._ray.get(self._ahead[path, treatment])
                del self._ahead[path, treatment]
            except self._ray.exceptions.RayTaskError:
                raise
            except self._ray.exceptions.RayError as err:
                why = type(err).__name__
                self._crew.look()
                self._begin(path, treatment)
                continue
            if isinstance(came, Source):
                return came
            if isinstance(came, VqaError):
                raise came
            why = came.reason
            if isinstance(came, Unfit):
                self._crew.refuse(came)
                if self._crew.hopeless(str(path)):
                    raise InputError(f"no node sees it: {path}", detail=f"{came.node.name}: {came.reason}")
            self._begin(path, treatment)
        raise ToolError(f"no node could look at it, in {_TRIES} tries: {path}", detail=why)
