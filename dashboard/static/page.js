// Keeps the live page live: a stream says that a line has come, the page is fetched again and swapped in; the page of a
// running job is fetched every second. Nothing is computed here but the age of the last line. Without this file the
// pages are the same, and stand still.
"use strict";

const RETRY_MS = 1500, JOB_MS = 1000;
let swapping = false;
let wanted = false;

function liveBox() {
  return document.getElementById("live");
}

async function swap() {
  // One fetch at a time; lines that come meanwhile cause one more.
  if (swapping) { wanted = true; return; }
  swapping = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const scrolled = document.getElementById("timeline")?.scrollTop ?? 0;
    const focused = document.activeElement?.id;
    for (const id of ["strip", "main"]) {
      const before = document.getElementById(id), after = fresh.getElementById(id);
      if (before && after) before.replaceWith(after);
      else if (after || before) { location.reload(); return; }
    }
    document.title = fresh.title;
    const timeline = document.getElementById("timeline");
    if (timeline) timeline.scrollTop = scrolled;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    liveBox()?.classList.add("fresh");
    prepareMap();
  } catch {
    setTimeout(swap, RETRY_MS);
  } finally {
    swapping = false;
    if (wanted) { wanted = false; swap(); }
  }
}

function follow() {
  const box = liveBox();
  if (!box) return;
  const source = new EventSource(`/events?after=${box.dataset.after ?? -1}`);
  source.addEventListener("line", (event) => {
    const account = liveBox()?.dataset.account;
    if (!account || JSON.parse(event.data).account === account) swap();
  });
  source.addEventListener("error", () => showAge("connection lost, trying again"));
  source.addEventListener("open", () => showAge(""));
}

function watchJob() {
  if (document.getElementById("running")) setTimeout(() => swap().then(watchJob), JOB_MS);
}

function showAge(words) {
  const pill = document.getElementById("age");
  const since = pill?.querySelector(".since");
  if (!since) return;
  const seconds = Math.max(0, (Date.now() - Date.parse(pill.dataset.at)) / 1000);
  since.textContent = seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
  if (words !== undefined) pill.title = words;
  const stale = seconds > Number(pill.dataset.limit);
  pill.classList.toggle("bad", stale);
  liveBox()?.classList.toggle("stale", stale);
}

// The map of calls: arrows walk from cell to cell, the sentence under it says why a call may or may not be sold.
function prepareMap() {
  const cells = [...document.querySelectorAll(".cell")];
  const why = document.getElementById("why");
  if (!cells.length || !why) return;
  for (const cell of cells) {
    cell.tabIndex = -1;
    for (const kind of ["focus", "pointerenter"]) cell.addEventListener(kind, () => { why.textContent = cell.title; });
    cell.addEventListener("keydown", walk);
  }
  (document.querySelector(".cell.ours, .cell.best") ?? cells[0]).tabIndex = 0;
}

function walk(event) {
  const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const cell = event.currentTarget.closest("td");
  let row = cell.parentElement, column = cell.cellIndex;
  for (;;) {
    column += step[0];
    row = step[1] > 0 ? row.nextElementSibling : step[1] < 0 ? row.previousElementSibling : row;
    const next = row?.cells[column];
    if (!next) return;
    const target = next.querySelector(".cell");
    if (!target) continue;
    event.currentTarget.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
    return;
  }
}

follow();
watchJob();
prepareMap();
showAge();
setInterval(showAge, 1000);
