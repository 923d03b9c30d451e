"""From a request of the page to the session it belongs to; errors of visitors become sentences on the page."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import gradio as gr

from jaxedit.errors import JaxeditError
from jaxedit.studio.studio import Session, Studio
from jaxedit.studio.visits import Visits


class Desk:
    """Answers requests.

    Args:
        studio: that all share.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.visits = Visits(lambda: Session(studio))

    def answers(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a session as one of a request, whose errors are shown on the page."""

        @functools.wraps(function)
        def answer(request: gr.Request, *values: Any) -> Any:
            try:
                return function(self.visits.of(request.session_hash), *values)
            except JaxeditError as error:
                raise gr.Error(str(error), duration=12, print_exception=False) from error

        answer.__signature__ = _with_request(function)  # type: ignore[attr-defined]
        answer.__annotations__ = {"request": gr.Request}
        return answer

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.visits.close(request.session_hash)


def _with_request(function: Callable[..., Any]) -> inspect.Signature:
    """The signature that gradio looks at: the request in place of the session."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    return inspect.Signature([request, *parameters])
