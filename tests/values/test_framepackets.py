"""Packets of an encode's frames on disk: read as they were written, refused where they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vqa_cli.errors import StorageError
from vqa_cli.framepackets import FramePackets, read_packets, write_packets

PACKETS = FramePackets(np.array([9000, 20, 700], np.int32), "KBP", np.array([24.5, np.nan, 0.0]))


def test_packets_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_packets(tmp_path / "p.parquet", PACKETS)
    found = read_packets(tmp_path / "p.parquet")
    assert found.bytes.tolist() == [9000, 20, 700]
    assert found.kinds == "KBP"
    assert found.quantisers is not None
    np.testing.assert_array_equal(found.quantisers, [24.5, np.nan, 0.0])


def test_an_encoder_that_tells_no_quantisers_has_none(tmp_path: Path) -> None:
    write_packets(tmp_path / "p.parquet", FramePackets(PACKETS.bytes, "KPP", None))
    found = read_packets(tmp_path / "p.parquet")
    assert (found.kinds, found.quantisers) == ("KPP", None)


def test_other_programs_read_what_is_not_known_as_null(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_packets(tmp_path / "p.parquet", PACKETS)
    assert pq.read_table(tmp_path / "p.parquet").to_pydict() == {
        "bytes": [9000, 20, 700], "kind": ["K", "B", "P"], "quantiser": [24.5, None, 0.0],
    }  # fmt: skip


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_packets(path, PACKETS)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(StorageError, match="cannot read packets"):
            read_packets(path)
    path.unlink()
    with pytest.raises(StorageError, match="cannot read packets"):
        read_packets(path)
