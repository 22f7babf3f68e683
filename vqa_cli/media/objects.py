"""Files in object stores (S3, Google Cloud Storage, Azure …), by fsspec, which need not be installed for anything else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from vqa_cli.errors import InputError, StorageError

# Protocols that fsspec has and ffmpeg has not; who may read is told by the store's own variables and files.
_STORES = re.compile(r"(s3|s3a|gs|gcs|az|abfs|abfss|adl|oci|oss|hf)://", re.IGNORECASE)
_BLOCK_BYTES = 8 << 20


def is_object(address: str) -> bool:
    """Whether an address names an object of a store."""
    return _STORES.match(address) is not None


def copy_object(address: str, shown: str, target: Path) -> None:
    """Copy an object byte for byte.

    Args:
        shown: the address as it may be told.

    Raises:
        InputError: fsspec or the store's package is missing, or the object cannot be read to its end.
        StorageError: there is no room for it.
    """
    try:
        import fsspec
    except ImportError as err:
        raise InputError(f"cannot fetch: {shown}", detail=str(err), hint="pip install 'vqa-cli[remote]'") from err
    try:
        out = target.open("wb")
    except OSError as err:
        raise StorageError(f"cannot copy to disk: {shown}", detail=err.strerror, hint="set TMPDIR") from err
    with out:
        try:
            store, path = fsspec.core.url_to_fs(address)
            _copy(store, path, out)
        except ImportError as err:  # the package of this store
            raise InputError(f"cannot fetch: {shown}", detail=str(err), hint="install what it names") from err
        except IsADirectoryError as err:
            hint = "name its files; a list of them, one to a line, is given as @LIST"
            raise InputError(f"a folder, not a file: {shown}", hint=hint) from err
        except FileNotFoundError as err:
            raise InputError(f"no such file: {shown}") from err
        except Exception as err:  # each store has errors of its own
            detail = (str(err).replace(address, shown) or type(err).__name__).split("\n")[0]
            raise InputError(f"cannot fetch: {shown}", detail=detail) from err


def _copy(store: Any, path: str, out: Any) -> None:
    if store.info(path)["type"] == "directory":
        raise IsADirectoryError(path)
    with store.open(path, "rb") as source:
        shutil.copyfileobj(source, out, _BLOCK_BYTES)
        size = getattr(source, "size", None)
    if size is not None and out.tell() != size:
        raise OSError(f"{out.tell()} of {size} bytes came")
