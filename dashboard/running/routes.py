"""/health for a watchdog (503 where it is not well), /metrics for Prometheus.

In: nothing. Out: JSON, and text.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from dashboard.pages import context_of
from dashboard.running.figures import health_of, metrics_text

router = APIRouter()
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/health")
def health(request: Request) -> Response:
    """200 where the agent writes and may trade, or the run is a finished one; else 503."""
    context = context_of(request)
    found = health_of(context.index, context.now(), context.settings.data_dir)
    return Response(found.as_json(), 200 if found.is_well else 503, media_type="application/json")


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """The newest figures of the account with the newest line."""
    context = context_of(request)
    return PlainTextResponse(
        metrics_text(context.index, context.now(), context.settings.data_dir), media_type=METRICS_TYPE
    )
