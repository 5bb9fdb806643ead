"""The address of the questions: words or a button in, an answer with its facts out.

In: `q`, a question in words, or `name` and what it is about. Out: HTML. A model takes part only where the page is asked
by form (POST) and the environment names one; a link (GET) is answered by keywords and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from dashboard.ask.asked import Asked
from dashboard.ask.front import MOST_LETTERS, ask
from dashboard.ask.log_view import LogView, view_of
from dashboard.ask.model.answering import Reply, ask_with
from dashboard.ask.model.client import model_of
from dashboard.ask.questions import QUESTIONS, answer
from dashboard.pages import context_of, form_fields, page

router = APIRouter()
EXAMPLES = (
    "What did it earn in January?",
    "Why was nothing done yesterday?",
    "Which calls were the worst?",
    "What if delta_max were 0.35?",
    "income by month for ETH",
)


@router.get("/ask")
def asked(request: Request, q: str = "", name: str = "", account: str = "") -> HTMLResponse:
    """A question as a link, answered without a model."""
    view = view_of(context_of(request).index, account or None)
    if view is None:
        return _page(request, q, None if not q and not name else NO_LOG)
    if name:
        found = answer(view, name, _arguments(request.query_params))
        return _page(request, q, Reply(found.text, (found,), "template"))
    return _page(request, q, _by_words(view, q) if q else None)


@router.post("/ask")
async def asked_by_form(request: Request) -> HTMLResponse:
    """A question in words; in the words of the model where one is named in the environment."""
    fields = await form_fields(request)
    return await run_in_threadpool(_answered, request, fields.get("q", "")[:MOST_LETTERS], fields.get("account"))


def _answered(request: Request, question: str, account: str | None) -> HTMLResponse:
    context = context_of(request)
    view = view_of(context.index, account or None)
    if view is None:
        return _page(request, question, NO_LOG)
    model = model_of(context.config.llm)
    return _page(request, question, _by_words(view, question) if model is None else ask_with(model, view, question))


NO_LOG = Reply("There is no such account in the log.", (), "template")


def _by_words(view: LogView, question: str) -> Reply:
    found = ask(view, question)
    return Reply(found.text, (found,), "template")


def _arguments(given: Mapping[str, str]) -> dict[str, str]:
    """What a link says beside the question's name."""
    return {key: value for key, value in given.items() if key in Asked.model_fields and value}


def _page(request: Request, question: str, reply: Reply | None) -> HTMLResponse:
    buttons = [one for one in QUESTIONS.values() if one.name not in ("chain_of_call", "what_if")]
    values = {"title": "Ask", "question": question, "reply": reply, "buttons": buttons, "examples": EXAMPLES}
    return page(request, "ask.html", values, 200)
