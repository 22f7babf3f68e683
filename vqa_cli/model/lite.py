"""The small backbone of vsfa-lite: VSFA's idea (spatial mean and deviation of convolutional features of the whole frame)
on a network that sees every pixel of luma and costs a few milliseconds.

Four by four luma pixels and the chroma that lies under them become the channels of one position, so that the first
convolution sees block edges, ringing and blur at full resolution while the map is a quarter of the frame's size. The change
of luma since the frame before goes in beside them: skipped blocks and smoothed grain are what no single frame shows, and
how much of a fault is seen depends on motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn

from vqa_cli.model.backbone import Backbone
from vqa_cli.values import FrameFormat

CELL = 4
LUMAS = CELL * CELL
CELL_CHANNELS = LUMAS + 2 * (CELL // 2) ** 2
# Changes between frames are small beside the frames themselves.
CHANGE_GAIN = 4.0
# Of a tile: its rows and columns of cells in the frame.
Place = tuple[slice, slice]
_SILENT = 1e-12
_LONGEST_HOLD = 15
# Half a megabyte of them: less than a core's second cache.
_CACHED_VALUES = 1 << 17


class _Block(nn.Sequential):
    def __init__(self, before: int, after: int, stride: int) -> None:
        conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))

    def fold(self) -> nn.Sequential:
        conv, norm = self[0], self[1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        folded = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
        return nn.Sequential(folded, nn.ReLU(inplace=True))


class CellBackbone(Backbone):
    """What both forms of the network have in common: which frames are seen, in which tiles, and what features are.

    Args:
        widths: channels of each block; the map halves at each ``True`` of ``halve``.
        taps: blocks whose output is pooled into the features, by index.
        motion: whether the change of luma since the frame before is seen.
        tile: (height, width) in pixels. A frame is judged in equal tiles of about this size, that of the frames it is trained
            on, and features are means over tiles: deviations grow with the area, and the padding of convolutions weighs less in
            larger maps, so that whole frames would look worse than their parts.
        hold: one frame of so many is seen, and stands for all of them. Which one it is moves on from one to the next, so that
            what comes back in each second, third or fourth frame (B frames, dropped frames) is seen as often as it is there.
        by_turns: of a frame of so many tiles or more, every second tile is looked at (as the white squares of a chessboard), and
            of the next frame that is seen the others; together they stand for both. 0 for never. With an even ``hold`` a tile
            would never be seen in every second frame.
    """

    blocks: nn.ModuleList

    def __init__(
        self,
        widths: Sequence[int] = (32, 48, 64, 96, 128, 192, 192),
        halve: Sequence[bool] = (False, True, False, True, False, True, False),
        taps: Sequence[int] = (0, 2, 4, 6),
        motion: bool = True,
        tile: Sequence[int] = (192, 352),
        hold: int = 1,
        by_turns: int = 0,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "widths": list(widths), "halve": list(halve), "taps": list(taps), "motion": motion,
            "tile": list(tile), "hold": hold, "by_turns": by_turns,
        }  # fmt: skip
        if not isinstance(hold, int) or not 1 <= hold <= _LONGEST_HOLD:
            raise ValueError(f"hold {hold!r} is no number of frames")
        if not isinstance(by_turns, int) or by_turns < 0 or (by_turns and hold % 2 == 0):
            raise ValueError(f"by_turns {by_turns!r} is no number of tiles, or hold {hold} is even")
        self.hold, self.by_turns = hold, by_turns
        self.taps = frozenset(taps)
        self.looks_back = int(motion)
        self.tile = (tile[0] // CELL, tile[1] // CELL)
        self.dim = 2 * sum(widths[tap] for tap in taps)
        widths_before = (CELL_CHANNELS + LUMAS * motion, *widths)
        # Of each block: channels before and after, and its stride.
        self.shapes = [(*pair, 2 if half else 1) for pair, half in zip(pairwise(widths_before), halve, strict=True)]

    def together(self, frame_format: FrameFormat) -> int:
        """See :class:`vqa_cli.model.backbone.Backbone`."""
        return self.hold * len(self._turns(frame_format))

    def forward(self, frames: Tensor, frame_format: FrameFormat, first: int = 0) -> Tensor:
        """Features of consecutive frames.

        Args:
            frames: (looks_back + n, height * 3 // 2, width) uint8, planar yuv420p; the first of a clip is its own
                predecessor.
            first: a multiple of ``together(frame_format)``.

        Returns:
            (n, dim) float32: per tapped block the spatial mean and standard deviation of each channel, means over tiles.
        """
        count, turns = len(frames) - self.looks_back, self._turns(frame_format)
        step = self.hold * len(turns)
        summed = torch.zeros((), device=frames.device)
        for turn, places in enumerate(turns):
            starts = [min(start + turn * self.hold, count - 1) for start in range(0, count, step)]
            seen = [min(s + -((first + s) // self.hold) % self.hold, count - 1) for s in starts]
            at = torch.tensor(seen, device=frames.device)
            now, before = frames.index_select(0, at + self.looks_back), frames.index_select(0, at)
            summed = summed + self._judge(now, before, frame_format, places).sum(dim=1)
        features: Tensor = summed / sum(map(len, turns))
        return features.repeat_interleave(step, dim=0)[:count]

    def judge(self, frames: Tensor, before: Tensor, frame_format: FrameFormat) -> Tensor:
        """Features of frames that are not consecutive, all tiles of each with the frame before; shapes as in :meth:`forward`."""
        return self._judge(frames, before, frame_format, self._all_places(frame_format)).mean(dim=1)

    def _judge(self, frames: Tensor, before: Tensor, frame_format: FrameFormat, places: Sequence[Place]) -> Tensor:
        """(n, places, dim)."""
        tiles = self.cut(frames, before if self.looks_back else None, frame_format, places)
        return self.pooled(tiles.permute(0, 3, 1, 2)).reshape(len(frames), len(places), self.dim)

    def _turns(self, frame_format: FrameFormat) -> list[list[Place]]:
        """The tiles of a frame, in one part or in the two that take turns."""
        rows = self._places(frame_format)
        if not self.by_turns or len(rows) * len(rows[0]) < self.by_turns:
            return [self._all_places(frame_format)]
        return [
            [place for down, row in enumerate(rows) for across, place in enumerate(row) if (down + across) % 2 == turn]
            for turn in range(2)
        ]

    def _all_places(self, frame_format: FrameFormat) -> list[Place]:
        return [place for row in self._places(frame_format) for place in row]

    def _places(self, frame_format: FrameFormat) -> list[list[Place]]:
        """Where the tiles of a frame are, in rows: equal ones that overlap by a few cells where they do not fit the frame."""
        tops, height = _parts(frame_format.height // CELL, self.tile[0])
        lefts, width = _parts(frame_format.width // CELL, self.tile[1])
        return [[(slice(top, top + height), slice(left, left + width)) for left in lefts] for top in tops]

    def tiles(self, frames: Tensor, before: Tensor | None, frame_format: FrameFormat) -> Tensor:
        """(n * tiles, rows, cols, channels): what the first block sees of all tiles."""
        return self.cut(frames, before, frame_format, self._all_places(frame_format))

    def cut(self, frames: Tensor, before: Tensor | None, frame_format: FrameFormat, places: Sequence[Place]) -> Tensor:
        """The same of some tiles, (n * places, rows, cols, channels)."""
        raise NotImplementedError

    def pooled(self, x: Tensor) -> Tensor:
        """Means and deviations of each tapped map in turn, (n, dim); ``x`` is (n, channels, rows, cols)."""
        pooled: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                pooled += MeanAndDeviation.apply(x)
        return torch.cat(pooled, dim=1)


class LiteBackbone(CellBackbone):
    """The network as it learns, in floating point."""

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.blocks = nn.ModuleList(_Block(*shape) for shape in self.shapes)

    def cut(self, frames: Tensor, before: Tensor | None, frame_format: FrameFormat, places: Sequence[Place]) -> Tensor:
        """See :class:`CellBackbone`."""
        cells = to_cells(frames, frame_format)
        earlier = None if before is None else to_cells(before, frame_format)
        shape = (len(cells), len(places), *extent(places), self.shapes[0][0])
        x = torch.empty(shape, dtype=next(self.parameters()).dtype, device=cells.device)
        for index, (down, across) in enumerate(places):
            now = cells[:, down, across]
            x[:, index, ..., :CELL_CHANNELS] = now
            if earlier is not None:
                change = torch.sub(now[..., :LUMAS], earlier[:, down, across, :LUMAS])
                x[:, index, ..., CELL_CHANNELS:] = change.mul_(CHANGE_GAIN)
        return x.flatten(0, 1)

    def fold(self) -> Self:
        """Fold batch normalisation into the convolutions, for inference."""
        self.blocks = nn.ModuleList(b.fold() if isinstance(b, _Block) else b for b in self.eval().blocks)
        return self.to(memory_format=torch.channels_last)


def extent(places: Sequence[Place]) -> tuple[int, int]:
    """Rows and columns of each."""
    down, across = places[0]
    return down.stop - down.start, across.stop - across.start


def _parts(length: int, wanted: int) -> tuple[list[int], int]:
    """Where the fewest equal parts of about ``wanted`` cells begin that cover ``length``, and how long they are."""
    count = max(1, round(length / wanted))
    size = -(-length // count)
    return [round(index * (length - size) / max(1, count - 1)) for index in range(count)], size


def to_cells(frames: Tensor, frame_format: FrameFormat) -> Tensor:
    """(n, height * 3 // 2, width) uint8 -> (n, height // 4, width // 4, 24) float32 around zero.

    Rows and columns beyond the last whole cell are left out. Limited and full range come to the same scale.
    """
    rows, cols = frame_format.height // CELL, frame_format.width // CELL
    cells = torch.empty(len(frames), rows, cols, CELL_CHANNELS, dtype=torch.uint8, device=frames.device)
    fill_cells(cells[:, None], [(slice(rows), slice(cols))], frames, frame_format)
    grey, reach, chroma_reach = (127.5, 127.5, 127.5) if frame_format.full_range else (125.5, 109.5, 112.0)
    chromas = CELL_CHANNELS - LUMAS
    middle = torch.tensor([grey] * LUMAS + [128.0] * chromas, device=frames.device)
    scale = torch.tensor([1 / reach] * LUMAS + [1 / chroma_reach] * chromas, device=frames.device)
    return torch.sub(cells, middle).mul_(scale)


def fill_cells(
    tiles: Tensor,
    places: Sequence[Place],
    frames: Tensor,
    frame_format: FrameFormat,
    change: Tensor | None = None,
) -> None:
    """Write the cells of frames as bytes, in tiles.

    A cell's row of luma moves as one 4-byte word and its row of chroma as one of 2 bytes: three times as fast as single bytes.
    All cells' first rows move, then all second ones: nearly twice as fast again as a cell after another.

    Args:
        tiles: (n, places, rows, cols, channels) uint8, to be filled: luma, chroma, and ``change``, which is shaped as luma is.
        places: which cells of a frame each tile is.
    """
    height, width = frame_format.height, frame_format.width
    luma, chroma = frames[:, :height], frames[:, height:].reshape(len(frames), 2, height // 2, width // 2)
    words, pairs = tiles.view(torch.int32), tiles.view(torch.int16)
    half = CELL // 2
    moves = _moves(words, 0, luma, CELL, torch.int32)
    for plane in range(2):
        moves += _moves(pairs, LUMAS // half + plane * half, chroma[:, plane], half, torch.int16)
    if change is not None:
        moves += _moves(words, CELL_CHANNELS // CELL, change, CELL, torch.int32)
    for index, (down, across) in enumerate(places):
        for to, row in moves:
            to[:, index].copy_(row[:, down, across])


def _moves(tiles: Tensor, first: int, plane: Tensor, step: int, word: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Where each of a cell's ``step`` rows of a plane goes, counted in words from ``first`` on, and that row of all cells."""
    rows = _whole(plane, step).view(word)
    return [(tiles[..., first + row], rows[:, row::step]) for row in range(step)]


def _whole(plane: Tensor, step: int) -> Tensor:
    """A plane without what lies beyond its last whole cell, in words of ``step`` bytes that lie where words must."""
    _, height, width = plane.shape
    cut = plane[:, : height // step * step, : width // step * step]
    return cut if cut.shape[2] == width and width % step == 0 else cut.contiguous()


class MeanAndDeviation(torch.autograd.Function):
    """Spatial mean and unbiased deviation of (n, channels, rows, cols), each (n, channels) float32.

    On a CPU from sums of values and squares along the outer axis, several times faster than ``torch.std_mean`` on
    channels-last maps, and a few frames at a time, so that what lies between stays in the cache. The way back is made frame by
    frame, where autograd's own would go through memory five times. On a GPU all frames at once: there each call costs as much
    as a frame. The small term keeps the gradient of a channel that is silent everywhere finite.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        count = x.shape[2] * x.shape[3]
        variance, mean = (_spread_in_parts if x.device.type == "cpu" else _spread)(x.permute(0, 2, 3, 1).flatten(1, 2))
        deviation = (variance * (count / max(1, count - 1)) + _SILENT).sqrt()
        ctx.save_for_backward(x, mean, deviation)
        return mean, deviation

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_mean: Tensor, by_deviation: Tensor) -> Tensor:
        x, mean, deviation = ctx.saved_tensors
        count = x.shape[2] * x.shape[3]
        # Of one channel: d mean / dx = 1 / count, d deviation / dx = (x - mean) / (deviation * (count - 1)).
        steep = by_deviation / (deviation * max(1, count - 1))
        level = by_mean / count - steep * mean
        if x.device.type != "cpu":
            return torch.addcmul(level[..., None, None], x.float(), steep[..., None, None]).to(x.dtype)
        slope = torch.empty_like(x)
        for out, frame, a, b in zip(slope, x, level, steep, strict=True):
            out.copy_(torch.addcmul(a[:, None, None], frame.float(), b[:, None, None]))
        return slope


def _spread(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Biased variance and mean over positions: (n, positions, channels) -> (n, channels) float32 each."""
    variance, mean = torch.var_mean(positions.float(), dim=1, correction=0)
    return variance, mean


def _spread_in_parts(positions: Tensor) -> tuple[Tensor, Tensor]:
    """The same of a few frames after another, by sums of values and squares."""
    means, squares = [], []
    for part in positions.split(max(1, _CACHED_VALUES // positions[0].numel())):
        values = part.to(torch.float32, copy=True)
        means.append(values.mean(dim=1))
        squares.append(values.square_().mean(dim=1))
    mean = torch.cat(means)
    return (torch.cat(squares) - mean.square()).clamp_min(0.0), mean
