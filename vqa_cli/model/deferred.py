"""A scorer whose network is built when the first frame is shown to it. What is remembered is pooled without one, or torch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_cli.errors import ModelError
from vqa_cli.machine import may_have_gpu
from vqa_cli.model.card import calibration_of, identity_of, in_use, own_files, read_model_file
from vqa_cli.model.registry import LITE, is_file_name, lite_path
from vqa_cli.model.temporal import TemporalPooling
from vqa_cli.model.verdict import Verdicts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vqa_cli.identity import ModelIdentity
    from vqa_cli.model.order import ScorerOrder
    from vqa_cli.model.scorer import StreamingScorer
    from vqa_cli.values import ClipScore, FeatureSink, FrameFormat

    Load = Callable[[], StreamingScorer]


class DeferredScorer:
    """Implements :class:`vqa_cli.values.Scorer`. Safe to use from several threads."""

    def __init__(self, verdicts: Verdicts, load: Load) -> None:
        self._verdicts, self._load = verdicts, load
        self._lock = threading.Lock()
        self._loaded: StreamingScorer | None = None
        self._begun = False

    @property
    def identity(self) -> ModelIdentity:
        return self._verdicts.identity

    @property
    def order(self) -> ScorerOrder | None:
        """How the same is loaded elsewhere."""
        return self._network().order

    def expect(self) -> None:
        """See :class:`vqa_cli.values.Scorer`: loads in a thread of its own. What goes wrong there is said when a frame is shown."""
        with self._lock:
            begun, self._begun = self._begun or self._loaded is not None, True
        if not begun:
            # No daemon: torch that is torn down while it loads ends the program in a crash.
            threading.Thread(target=self._try).start()

    def _try(self) -> None:
        with contextlib.suppress(Exception):
            self._network()

    def score(
        self,
        frames: Iterable[NDArray[np.uint8]] | Iterator[NDArray[np.uint8]],
        frame_format: FrameFormat,
        *,
        every: int = 1,
        sink: FeatureSink | None = None,
    ) -> ClipScore:
        """See :class:`vqa_cli.values.Scorer`."""
        return self._network().score(frames, frame_format, every=every, sink=sink)

    def score_features(self, features: NDArray[np.float16], *, every: int = 1) -> ClipScore:
        """See :class:`vqa_cli.values.Scorer`."""
        return self._network().score_features(features, every=every)

    def pool(self, frame_outputs: NDArray[np.float64], *, every: int = 1) -> ClipScore:
        """See :class:`vqa_cli.values.Scorer`."""
        return self._verdicts.of(frame_outputs, every)

    def _network(self) -> StreamingScorer:
        with self._lock:
            if self._loaded is None:
                loaded = self._load()
                if loaded.identity != self.identity:
                    raise ModelError(f"changed while it was read: {self.identity.name}")
                self._loaded = loaded
            return self._loaded


def defer(model: str, wanted: dict[str, Any], load: Load) -> DeferredScorer | None:
    """A scorer that ``load`` builds when it is needed, where its file alone says what it will be; else ``None``.

    That is so for models that carry their network, in their own arithmetic, on a machine without a GPU.

    Args:
        wanted: as :func:`vqa_cli.model.load.load_scorer` takes them.

    Raises:
        ModelError: the file is missing or no model.
    """
    if model != LITE and not is_file_name(model):
        return None
    if wanted["backbone_weights"] or wanted["head_weights"] or wanted["precision"] != "auto":
        return None
    if wanted["device"] != "cpu" and (wanted["device"] != "auto" or may_have_gpu()):
        return None
    file = read_model_file(lite_path() if model == LITE else Path(model).absolute())
    card = file.card
    if not card.carries_network:
        return None
    tau, beta = (card.tau if wanted["tau"] is None else wanted["tau"]), wanted["beta"]
    pooling = TemporalPooling(tau, card.beta if beta is None else beta, wanted["pooling"])
    bare = identity_of(card, own_files(file), file.network or "", verified=model == LITE)
    identity = in_use(bare, card.precision, "cpu", pooling.describe(), wanted["color"])
    return DeferredScorer(Verdicts(identity, calibration_of(card.scale), pooling), load)
