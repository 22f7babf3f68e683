"""Opens media files for reading: the one place that calls ``av.open``, and that says why a file is none that can be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vqa_cli.errors import InputError

# Formats whose files hold everything themselves. A playlist or a script among them would be opened together with whatever
# it names, and be known by its own bytes alone.
_SELF_CONTAINED = """
    3dostr 4xm aa aac ac3 aiff amr anm apng apv asf asf_o au av1 avi avr avs avs2 avs3 bethsoftvid bfi bink bmp_pipe brender_pix
    c93 caf cavsvideo cdg cdxl cine dcstr dds_pipe derf dhav dirac dnxhd dpx_pipe dsicin dts dv dxa ea ea_cdata eac3 evc exr_pipe
    film_cpk filmstrip fits flac flic flv frm gdv gif gif_pipe gxf h261 h263 h264 hdr_pipe hevc hnm ico idcin iff ifv ingenient
    ipmovie ipu iv8 ivf ivr j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe jv kux live_flv lmlm4 lvf lxf m4v
    matroska,webm mgsts mjpeg mjpeg_2000 mm mods moflex mov,mp4,m4a,3gp,3g2,mj2 mp3 mpeg mpegts mpegtsraw mpegvideo mpjpeg
    msnwctcp mtv mv mvi mxf mxg nc nsv nut nuv obu ogg paf pam_pipe pbm_pipe pcx_pipe pdv pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe
    phm_pipe photocd_pipe pictor_pipe pmp png_pipe ppm_pipe psd_pipe psxstr pva qdraw_pipe qoi_pipe r3d rl2 rm roq rpl sdr2 ser
    sga sgi_pipe siff simbiosis_imx smjpeg smk smush sunrast_pipe svg_pipe swf thp tiertexseq tiff_pipe tmv tta txd ty usm vc1
    vc1test vividas vivo vmd vvc w64 wav wc3movie webp_anim webp_pipe wsvqa wtv wv xbm_pipe xmv xpm_pipe xwd_pipe yop
    yuv4mpegpipe
"""
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(_SELF_CONTAINED.split())}
_HEAD_BYTES = 16 * 1024
# How text begins that names other files: ffmpeg's name of the format, and ours.
_STARTS = {
    b"#EXTM3U": ("hls", "an HLS playlist"),
    b"ffconcat": ("concat", "a concat script"),
    b"v=0": ("sdp", "a session description"),
}
_ELEMENTS = {
    b"<MPD": ("dash", "a DASH manifest"),
    b"CompositionPlaylist": ("imf", "an IMF composition"),
    b"<SmoothStreamingMedia": (None, "a Smooth Streaming manifest"),
}


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """A local file as PyAV's container. Text in it that is not UTF-8 is no obstacle: it is never used.

    Raises:
        InputError: no regular file, empty, one that refers to other files, or none that can be read as video.
    """
    _check_file(path)
    if other := referring_format(path):
        raise InputError(
            f"not a video but {other[1]}, which names other files: {path}",
            hint="make one file of them first; --allow-protocols does that",
        )
    import av

    try:
        with av.open(str(path.resolve()), options=_OPTIONS, metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as err:
        raise InputError(
            f"cannot read as video: {path}",
            detail=err.strerror or str(err),
            hint="is the file complete, and does a player open it?",
        ) from err


def referring_format(path: Path) -> tuple[str | None, str] | None:
    """Of a file that only says which other files are to be played: ffmpeg's name of its format, if it reads it, and ours.

    Its suffix says nothing: ffmpeg goes by the content, too.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, names in _STARTS.items():
        if head.startswith(start):
            return names
    if not head.startswith(b"<"):
        return None
    return next((names for element, names in _ELEMENTS.items() if element in head), None)


def _check_file(path: Path) -> None:
    if not _is_text(path.absolute()):
        # Reports, tables and run documents are text, and name the file.
        raise InputError(
            f"file name is not valid UTF-8: {path}", hint="rename the file or its folder, or give a link to it"
        )
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"is a directory, not a video: {path}")
        if not stat.S_ISREG(mode):
            raise InputError(f"is no regular file: {path}")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"file is empty: {path}")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as err:
        raise InputError(f"cannot read: {path}", detail=err.strerror) from err


def _is_text(path: Path) -> bool:
    """Whether the name's bytes are UTF-8, whatever the locale makes of them."""
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
