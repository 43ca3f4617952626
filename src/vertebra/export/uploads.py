"""The image files that a request brings: one as its body, or several as a form."""

from asyncio import timeout
from collections.abc import AsyncGenerator

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from vertebra.export.desk import Upload
from vertebra.export.limits import Limits

BODY_SECONDS = 60
"""So long a body may take to arrive, since it holds a place meanwhile."""

BODY_NAME = "-"
"""What the image is called that is the body itself, as commands call what comes without a name."""

FORM = "multipart/form-data"
RAW = "application/octet-stream"


def require_understood(request: Request) -> bool:
    """Returns whether the body is a form; if not, it is an image.

    Raises:
        HTTPException: 415, it is neither.
    """
    kind = request.headers.get("content-type", RAW).partition(";")[0].strip().lower()
    if kind not in (FORM, RAW) and not kind.startswith("image/"):
        raise HTTPException(
            415,
            f"a body of type {kind!r} is not understood; send the bytes of an image as image/jpeg "
            f"or another image type, or as {RAW}, or send files as {FORM}",
        )
    return kind == FORM


async def read_uploads(request: Request, limits: Limits) -> list[Upload]:
    """Returns the files of a request, at least one; what is in them nobody has looked at.

    Raises:
        HTTPException: 415, see `require_understood`; 413, it is larger than allowed; 408, it takes
            too long to arrive; 400, the form is broken, holds too many files or none.
    """
    is_form = require_understood(request)
    body = _bounded(request, limits.max_upload_mb)
    try:
        async with timeout(BODY_SECONDS):
            if is_form:
                return await _files(request, body, most=limits.max_waiting)
            return [Upload(BODY_NAME, b"".join([chunk async for chunk in body]))]
    except TimeoutError as error:
        raise HTTPException(
            408, f"the body did not arrive within {BODY_SECONDS} s; send smaller images"
        ) from error
    except ClientDisconnect as error:  # nobody is there to read this
        raise HTTPException(400, "the connection ended before the body; send it again") from error


async def _bounded(request: Request, most_mb: float) -> AsyncGenerator[bytes]:
    """Yields the body, up to its bound.

    A larger one is read to its end and thrown away: a client that still sends hears no answer.
    """
    size, most = 0, most_mb * 2**20
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most:
            yield chunk
    if size > most:
        raise HTTPException(
            413,
            f"the request has {size / 2**20:.4g} MB, and {most_mb:g} MB are allowed; send smaller "
            f"or fewer images",
        )


async def _files(request: Request, body: AsyncGenerator[bytes], *, most: int) -> list[Upload]:
    parser = MultiPartParser(request.headers, body, max_files=most)
    parser.spool_max_size = 2**62  # in memory, never in a file: the body is bounded
    try:
        form = await parser.parse()
    except MultiPartException as error:
        told = error.message.rstrip(".")
        raise HTTPException(
            400, f"the form cannot be read ({told}); send up to {most} files as {FORM}"
        ) from error
    files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
    uploads = [Upload(each.filename or BODY_NAME, await each.read()) for each in files]
    await form.close()
    if not uploads:
        raise HTTPException(
            400, "the form holds no file; send one or more, as `curl -F image=@FILE` does"
        )
    return uploads
