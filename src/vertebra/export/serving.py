"""A network over HTTP: a page to try it, its facts, its health, and answers to image files.

GET  /              a page that takes images
GET  /health        whether it answers, and how much it has to do
GET  /model         what it is: classes, preprocessing, precision
POST /predict       image files in, classes out; ?top=K says how many
GET  /openapi.json  the same for programs
"""

from collections.abc import Mapping
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as AnyHttpException

from vertebra.export.desk import Desk, NoRoom
from vertebra.export.replies import Answers, Facts, Fault, Health, Unreadable
from vertebra.export.uploads import FORM, RAW, read_uploads
from vertebra.records import Json

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_FILES = {
    "schema": {
        "type": "object",
        "additionalProperties": {"type": "string", "format": "binary"},
    }
}
_BODY: dict[str, Json] = {
    "requestBody": {"required": True, "content": {"image/*": _IMAGE, RAW: _IMAGE, FORM: _FILES}}
}
_FAULTS: dict[int | str, dict[str, Json]] = {
    **{status: {"model": Fault} for status in (400, 408, 413, 415, 503)},
    422: {"model": Unreadable},
}


def application(desk: Desk, *, page: str, facts: Mapping[str, Json]) -> FastAPI:
    """Returns the application.

    page:  the HTML that it shows to people.
    facts: what `replies.Facts` has.
    """
    app = FastAPI(
        title="Vertebra",
        version=facts["version"],
        docs_url=None,  # this page and the next load their parts from elsewhere
        redoc_url=None,
    )
    ends = _Endpoints(desk, page, facts)
    app.add_api_route("/", ends.home, response_class=HTMLResponse, include_in_schema=False)
    app.add_api_route("/health", ends.health, response_model=Health)
    app.add_api_route("/model", ends.model, response_model=Facts)
    app.add_api_route(
        "/predict",
        ends.predict,
        methods=["POST"],
        response_model=Answers,
        response_model_exclude_unset=True,
        responses=_FAULTS,
        openapi_extra=_BODY,
    )
    app.add_exception_handler(AnyHttpException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NoRoom, _full)
    app.add_exception_handler(Exception, _failed)
    return app


class _Endpoints:
    def __init__(self, desk: Desk, page: str, facts: Mapping[str, Json]) -> None:
        self._desk = desk
        self._page = page
        self._facts = facts

    async def home(self) -> str:
        """Returns a page that takes images."""
        return self._page

    async def health(self) -> Json:
        """Says that the server answers, and how much it has to do."""
        done = self._desk.batching
        return {
            "status": "ok",
            "waiting": self._desk.waiting,
            "answered": done.done,
            "passes": done.passes,
        }

    async def model(self) -> Json:
        """Says what the network is."""
        return self._facts

    async def predict(
        self,
        request: Request,
        top: Annotated[int | None, Query(ge=1, description="Classes in an answer.")] = None,
    ) -> Json:
        """Names what is in image files: one as the body, or several as a form."""
        desk = self._desk
        with desk.room(1):  # before the body is read, since it lies in memory
            uploads = await read_uploads(request, desk.limits)
            with desk.room(len(uploads) - 1):
                rows = await desk.rows(uploads, top=top or desk.limits.top)
        if all("error" in row for row in rows):
            return JSONResponse({"error": _unreadable(rows), "images": rows}, 422)
        return {"images": rows}


def _unreadable(rows: list[dict[str, Json]]) -> str:
    first, *others = (row["error"] for row in rows)
    if others:
        return f"none of {len(rows)} files is a readable image (the first: {first}); send images"
    return f"it is no readable image: {first}; send a whole image file"


async def _refused(request: Request, error: Exception) -> Response:
    """Answers what has a status of its own; of the framework's, what has no sentence gets one."""
    if not isinstance(error, AnyHttpException):
        raise error
    told = error.detail
    if not isinstance(error, HTTPException):
        told = f"{told}: {request.method} {request.url.path}; see /openapi.json for what is there"
    return JSONResponse({"error": told}, error.status_code, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    told = f"{first['loc'][-1]}={first['input']!r}; give a whole number, at least 1"
    return JSONResponse({"error": told}, 422)


async def _full(request: Request, error: Exception) -> Response:
    told = "too many images are waiting; send this again in a second"
    return JSONResponse({"error": told}, 503, {"Retry-After": "1"})


async def _failed(request: Request, error: Exception) -> Response:
    told = f"the server failed on this ({type(error).__name__}); its output says more"
    return JSONResponse({"error": told}, 500)
