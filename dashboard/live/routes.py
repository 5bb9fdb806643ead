"""The addresses of the live page.

In: which account and coin to show. Out: HTML.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.pages import context_of, page

router = APIRouter()


@router.get("/")
def live(request: Request, account: str = "", coin: str = "BTC") -> HTMLResponse:
    """The live page of an account, the one with the newest line unless it is named."""
    index = context_of(request).index
    chosen = account or next(iter(index.accounts()), "")
    lines = index.lines(chosen, newest=40)[::-1]
    return page(request, "live.html", {"title": "Live", "account": chosen, "coin": coin, "lines": lines})
