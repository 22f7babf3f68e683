"""What made a result, as run documents keep it: programs and machine."""

from __future__ import annotations

from pydantic import Field

from vqa_cli.pooled import DocumentPart


class Environment(DocumentPart):
    """Versions of everything whose change can move a number.

    ``measurement`` is raised whenever vqa's own code changes what is measured. ``encode_ffmpeg_*`` are set where another build than the one that measures made the encodes.
    """

    vqa: str
    measurement: int
    python: str
    platform: str
    cpu: str
    simd: str
    torch: str | None
    ffmpeg: str
    ffmpeg_path: str
    ffmpeg_version: str
    ffmpeg_sha256: str
    encode_ffmpeg_path: str | None = None
    encode_ffmpeg_version: str | None = None
    encode_ffmpeg_sha256: str | None = None
    encoder_libraries: dict[str, str] = Field(default_factory=dict)
