"""The addresses of the lab: the form, the jobs, what came of them, two beside each other.

In: forms (POST) and links (GET, which change nothing). Out: HTML, files to download. Everything that reaches a process
has gone through lab/form.py.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from dashboard.insights.calls import rows_of_run
from dashboard.insights.comparisons import insights_of
from dashboard.lab.archive import SORTED_BY, Archive, beside, chains_of_run, summary
from dashboard.lab.compare import comparison_of_runs
from dashboard.lab.form import Command, RunForm, command_of, form_settings, policies, recordings, watch_command
from dashboard.lab.heat import heat_map
from dashboard.lab.jobs import Job, Jobs
from dashboard.pages import context_of, form_fields, page
from models import ConfigurationError

router = APIRouter(prefix="/lab")
SHOWN_JOBS, SHOWN_CHAINS, SHOWN_RUNS = 10, 200, 100


def archive_of(request: Request) -> Archive:
    """One for the application, made when it is first asked for."""
    if not hasattr(request.app.state, "archive"):
        request.app.state.archive = Archive(Jobs(context_of(request).settings.work_dir / "lab"))
    found: Archive = request.app.state.archive
    return found


@router.get("")
def lab(request: Request, sort: str = "name", words: str = "", shown: int = SHOWN_RUNS) -> HTMLResponse:
    """The form, the newest jobs and the index of runs."""
    return _lab(request, sort, words[:80], None, shown)


def _lab(request: Request, sort: str, words: str, problem: str | None, shown: int = SHOWN_RUNS) -> HTMLResponse:
    archive = archive_of(request)
    rows = archive.rows(sort, words)
    values = {
        "title": "Lab",
        "problem": problem,
        "fields": RunForm.model_fields,
        "settings": form_settings(),
        "policies": policies(),
        "recordings": list(recordings(context_of(request).settings.data_dir)),
        "jobs": archive.jobs.newest(SHOWN_JOBS),
        "rows": rows[: max(0, shown)],
        "found": len(rows),
        "sort": sort,
        "sorted_by": SORTED_BY,
        "words": words,
    }
    return page(request, "lab.html", values, 200 if problem is None else 422)


@router.post("/run")
async def run(request: Request) -> Response:
    """Start a run or a sweep."""
    fields = await form_fields(request)
    return _started(request, lambda: command_of(fields, context_of(request).settings.data_dir))


@router.post("/watch")
async def watch(request: Request) -> Response:
    """Edit and see: the log is decided again after every save of the policy."""
    policy = (await form_fields(request)).get("policy", "")
    return _started(request, lambda: watch_command(policy, context_of(request).settings.log_dir))


def _started(request: Request, command: Callable[[], Command]) -> Response:
    """The page of the new job, or the form again with what is wrong with it."""
    try:
        name = archive_of(request).jobs.start(command(), context_of(request).now())
    except ConfigurationError as problem:
        return _lab(request, "name", "", str(problem))
    return RedirectResponse(f"/lab/job/{name}", 303)


@router.post("/cancel/{name}")
def cancel(request: Request, name: str) -> Response:
    """Ask a job to end with what it has."""
    archive_of(request).jobs.cancel(name)
    return RedirectResponse(f"/lab/job/{name}", 303)


@router.get("/job/{name}")
def job(request: Request, name: str, row: str = "", column: str = "") -> HTMLResponse:
    """How a job does, and what came of it; of a sweep by the two settings that are asked for."""
    found = _job(request, name)
    results = found.folder / "results"
    values = {
        "title": f"Job {name}",
        "job": found,
        "summary": summary(results / "summary.json"),
        "chains": chains_of_run(results / "chains.csv"),
        "most_chains": SHOWN_CHAINS,
        "heat": heat_map(results, row, column),
        "insights": insights_of(rows_of_run(results / "trades.csv"), "Insights") if found.kind == "run" else None,
        "others": [other for other in archive_of(request).jobs.names() if other != name][:50],
    }
    return page(request, "job.html", values)


@router.get("/job/{name}/{file}")
def download(request: Request, name: str, file: str) -> FileResponse:
    """A file of a run, to keep."""
    path = archive_of(request).jobs.output(name, file)
    if path is None:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(path, filename=f"{name}-{file}")


@router.get("/compare")
async def compare(request: Request, a: str = "", b: str = "") -> HTMLResponse:
    """Two runs: every figure beside the other, and the first decision in which they differ."""
    first, second = (_job(request, name).folder / "results" for name in (a, b))
    difference = await run_in_threadpool(comparison_of_runs, first, second)
    rows = beside(summary(first / "summary.json"), summary(second / "summary.json"))
    values = {"title": f"{a} against {b}", "a": a, "b": b, "rows": rows, "difference": difference}
    return page(request, "compare.html", values)


def _job(request: Request, name: str) -> Job:
    found = archive_of(request).jobs.job(name)
    if found is None:
        raise HTTPException(404, "There is no such job.")
    return found
