"""Images in a .zip or .tar archive, read from where they lie in it; nothing is unpacked to files.

A compressed tar cannot be read from the middle, so it is decompressed once into the cache folder.
"""

import gzip
import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from array import array
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import cache_folder, written
from vertebra.data.images import Source
from vertebra.data.layout import is_clutter, lay_out
from vertebra.data.names import GrowingNames
from vertebra.data.readers import MEMBER, TarMembers, ZipMembers
from vertebra.errors import DataError


def open_zip(path: Path) -> Source:
    """Returns the images in a zip archive of a folder.

    Raises:
        DataError: it is damaged, encrypted, packed in a rare way, or a member points outside it.
    """
    names, rows = GrowingNames(), array("q")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise _damaged(path, "zip", error) from error
    for member in members:
        name = member.filename.replace("\\", "/").removeprefix("./")
        _require_inside(name, path)
        if member.is_dir():
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _link(path, name)
        if member.flag_bits & 1 or member.compress_type not in (0, 8):
            raise DataError(
                f"{path} holds {name!r} encrypted or packed in a rare way; pack it again with "
                f"`zip -r`, which deflates"
            )
        if not is_clutter(name):
            names.append(name)
            rows.extend((member.header_offset, member.compress_size, member.file_size, member.CRC))
    reader = ZipMembers(path, _table(rows))
    return lay_out(names.close(), reader, name=path.stem, where=str(path))


def open_tar(path: Path) -> Source:
    """Returns the images in a tar archive of a folder, plain or compressed by gzip.

    Raises:
        DataError: it is damaged, or a member is a link or points outside it.
        DeviceError: a compressed one cannot be decompressed for lack of space.
    """
    plain = _decompressed(path) if _is_gzip(path) else path
    names, rows = GrowingNames(), array("q")
    try:
        with tarfile.open(plain, "r:") as archive:
            for member in iter(archive.next, None):
                # else all that was read stays in memory; typeshed does not know the list
                archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
                name = member.name.removeprefix("./")
                _require_inside(name, path)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise _link(path, name)
                if not is_clutter(name):
                    names.append(name)
                    rows.extend((member.offset_data, member.size, member.size, 0))
    except (tarfile.TarError, OSError) as error:
        raise _damaged(path, "tar", error) from error
    stem = path.name.removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar")
    reader = TarMembers(plain, _table(rows))
    return lay_out(names.close(), reader, name=stem, where=str(path))


def _table(rows: "array[int]") -> NDArray[np.void]:
    """Returns the members, [n], whose four numbers stand in `rows` one after another."""
    return np.array(rows, dtype=np.int64).view(MEMBER)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _decompressed(path: Path) -> Path:
    """Returns the decompressed archive in the cache, which is made unless it is there.

    Its name depends on the archive's path, size and time, so that a changed archive is read anew.
    """
    facts = path.stat()
    key = f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    target = cache_folder() / "unpacked" / f"{digest}.tar"
    if not target.is_file():
        with written(target) as file:
            try:
                with gzip.open(path) as packed:
                    shutil.copyfileobj(packed, file, 2**20)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise _damaged(path, "gzip", error) from error
    return target


def _require_inside(name: str, archive: Path) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise DataError(
            f"{archive} holds {name!r}, which points outside it; pack it again"
            f" from inside its folder"
        )


def _link(archive: Path, name: str) -> DataError:
    return DataError(
        f"{archive} holds {name!r}, which is a link or a special file; pack the files themselves"
    )


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as a {kind} archive ({error}); copy it again")
