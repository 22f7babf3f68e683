"""A progress bar for notebooks and scripts, which ``run_ladder`` feeds."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from vqa_cli.events import Event, Note, Planned, RungDone


class ProgressBar:
    """One bar over all rungs of all sources, by ``tqdm.auto``: ``with ProgressBar() as bar: run_ladder(job, bar)``.

    Args:
        **options: for tqdm, such as ``file`` or ``disable``.
    """

    def __init__(self, **options: Any) -> None:
        self._options = {"unit": "rung", "total": 0} | options

    def __enter__(self) -> ProgressBar:
        from tqdm.auto import tqdm

        self._bar = tqdm(**self._options)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def __call__(self, event: Event) -> None:
        """Hear what a ladder tells; may be called from any thread."""
        match event:
            case Planned(work=work):
                self._bar.total += len(work)
                self._bar.refresh()
            case RungDone(source=source, rung=rung):
                self._bar.set_postfix_str(f"{source} {rung}", refresh=False)
                self._bar.update()
            case Note(text=text, warning=True) if not self._bar.disable:
                self._bar.write(text, file=self._options.get("file"))
