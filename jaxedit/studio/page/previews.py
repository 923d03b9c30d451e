"""The small images that follow a slider, straight from the server: gradio's own way takes as long again.

`POST /preview` with `{"visit": …, "values": […]}`, a value for each slider of the page, answers with a JPEG; with 204
if the slider has moved on meanwhile.
"""

import json
from typing import Any

import anyio
import numpy as np
from anyio import to_thread
from fastapi import FastAPI, Request, Response

from jaxedit.errors import InputError, JaxeditError
from jaxedit.studio.page.edit_tab import amounts_of, slots_of
from jaxedit.studio.page.html import jpeg
from jaxedit.studio.page.requests import Desk

PATH = "/preview"
_QUALITY = 80
_MOST_BYTES = 100_000
_MOST_THREADS = 40
"""Requests that wait for the drawer at once; others wait before."""


def add_previews(app: FastAPI, desk: Desk) -> None:
    """Answer requests for small images.

    Args:
        app: of the page.
        desk: finds sessions.
    """
    slots = slots_of(desk.studio.axes.attribute_names)
    limiter = anyio.CapacityLimiter(_MOST_THREADS)

    def draw(body: bytes) -> Response:
        try:
            visit, values = _checked(body, len(slots))
            # A visit begins with the page, behind its password: it is not made here.
            session = desk.visits.find(visit)
            if session is None:
                return Response("visit: expected that of an open page", 404)
            pixels = session.preview(amounts_of(session, slots, tuple(values)))
        except JaxeditError as error:
            return Response(str(error), 400)
        return (
            Response(status_code=204)
            if pixels is None
            else Response(jpeg(pixels, _QUALITY), media_type="image/jpeg")
        )

    async def preview(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return Response(f"expected {_MOST_BYTES} bytes at most", 413)
        return await to_thread.run_sync(draw, body, limiter=limiter)

    app.add_route(PATH, preview, methods=["POST"])


def _checked(body: bytes, count: int) -> tuple[str, list[float]]:
    """Visit and values of a request.

    Raises:
        InputError: if it is malformed.
    """
    expected = f"a visit and {count} numbers"
    try:
        found: Any = json.loads(body)
        visit, values = found["visit"], [float(value) for value in found["values"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"preview: expected {expected}, got another request") from error
    if not isinstance(visit, str) or len(values) != count or not np.isfinite(values).all():
        raise InputError(f"preview: expected {expected}, got {len(values)} or no finite ones")
    return visit, values
