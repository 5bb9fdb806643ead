"""LogIndex: a log folder that is read once, then followed, and asked questions.

In: a log folder, which another process may be writing, rotating, packing or emptying. Out: what line_questions.py
answers; notices, in words, of whatever is odd. Never raises for what a file holds. Reads the log, writes its index into
a folder of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread

from dashboard.log_index import files
from dashboard.log_index.line import NewerVersionError, ReadLine, read_line
from dashboard.log_index.line_questions import LineQuestions
from dashboard.log_index.store import LogFile, Store

LINES_AT_ONCE = 500
KEPT_NOTICES = 20


@dataclass(frozen=True)
class Progress:
    """How much of the log has been read; `is_done` once everything was read a first time."""

    done_bytes: int = 0
    total_bytes: int = 0
    is_done: bool = False


class LogIndex(LineQuestions):
    """The lines of one log folder. `refresh` looks for what is new; `follow` does so in a thread until `close`."""

    def __init__(self, log_dir: Path, work_dir: Path | None) -> None:
        super().__init__(Store(None if work_dir is None else work_dir / f"index-{_name_of(log_dir)}.sqlite"))
        self.log_dir = log_dir
        self.progress = Progress()
        self.has_ended = False
        self._said: list[str] = []
        self._ends = Event()
        self._refreshing = Lock()
        self._thread: Thread | None = None

    def notices(self) -> list[str]:
        """What is odd about the files, in words."""
        now = [_file_notice(file) for file in self._store.files()]
        return [*self._folder_notices(), *filter(None, now), *self._said]

    def _folder_notices(self) -> list[str]:
        if not self.log_dir.is_dir():
            return [f"there is no folder {self.log_dir}"]
        if files.decision_files(self.log_dir):
            return []
        rooms = [room.name for room in sorted(self.log_dir.iterdir()) if room.is_dir() and files.decision_files(room)]
        where = f"; there are some in {', '.join(rooms)}: start the dashboard on that folder" if rooms else ""
        return [f"no decision log in {self.log_dir} yet{where}"]

    # --- following ------------------------------------------------------------------------------------

    def follow(self, poll_seconds: float) -> None:
        """Look for new lines in a thread of its own, until close()."""

        def look() -> None:
            while not self.has_ended:
                self.refresh()
                self._ends.wait(poll_seconds)

        self._thread = Thread(target=look, name="log index", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look for new lines no longer; all else can be asked. Takes no lock: a signal handler may call it."""
        self.has_ended = True

    def close(self) -> None:
        """The end of it: whoever asks after this gets an error."""
        self.wait_for_end()
        self._store.close()

    def wait_for_end(self) -> None:
        self.end()
        self._ends.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0)

    def refresh(self) -> None:
        """One look at the folder: what is new is read, what is gone is forgotten."""
        with self._refreshing:
            present = files.decision_files(self.log_dir)
            known = self._matched(present)
            self._count_bytes(present)
            for name, path in sorted(present.items()):
                if not self.has_ended:
                    self._read(name, path, known.get(name))
            self.progress = replace(self.progress, done_bytes=self.progress.total_bytes, is_done=True)

    def _matched(self, present: dict[str, Path]) -> dict[str, LogFile]:
        """The files that were read before, by today's names; those that are gone are forgotten."""
        known = {file.name: file for file in self._store.files()}
        gone = [file for name, file in known.items() if name not in present]
        strange = {files.head_of(path): name for name, path in present.items() if name not in known} if gone else {}
        for file in gone:
            name = strange.get(file.head) if file.head else None
            if name is None:
                self._store.forget_file(file)
                self._say(f"{file.name} is gone: its {file.lines} lines are not shown any more")
            else:
                self._store.move_file(file, name, present[name])
                known[name] = replace(file, name=name, path=str(present[name]))
        for name in known.keys() & present.keys():
            if known[name].path != str(present[name]):
                self._store.move_file(known[name], name, present[name])
        return known

    def _count_bytes(self, present: dict[str, Path]) -> None:
        sizes = (int(files.stamp_of(path).partition(":")[0] or 0) for path in present.values())
        self.progress = replace(self.progress, done_bytes=0, total_bytes=sum(sizes))

    def _read(self, name: str, path: Path, known: LogFile | None) -> None:
        stamp = files.stamp_of(path)
        if known is not None and known.stamp != stamp:
            known = self._unless_replaced(known, path, stamp)
        if known is None:
            known = self._store.add_file(name, path, files.head_of(path))
        if known.stamp != stamp:
            try:
                self._read_on(known, path, stamp)
            except OSError as error:
                self._say(f"{name} cannot be read: {error.strerror or error}")
        size = int(stamp.partition(":")[0] or 0)
        self.progress = replace(self.progress, done_bytes=self.progress.done_bytes + size)

    def _unless_replaced(self, known: LogFile, path: Path, stamp: str) -> LogFile | None:
        """None where the file does not go on from where it was: it was cut, or another one has its name."""
        is_shorter = path.suffix != ".gz" and int(stamp.partition(":")[0] or 0) < known.bytes_read
        if not is_shorter and known.head in ("", files.head_of(path)):
            return known
        self._store.forget_file(known)
        self._say(f"{known.name} was {'cut' if is_shorter else 'replaced'}: it was read anew")
        return None

    def _read_on(self, known: LogFile, path: Path, stamp: str) -> None:
        batch: list[tuple[int, int, ReadLine]] = []
        read = replace(known, head=known.head or files.head_of(path))
        for position, raw in files.lines_after(path, known.bytes_read):
            read = replace(read, bytes_read=position + len(raw), lines=read.lines + 1)
            try:
                found = read_line(raw)
            except NewerVersionError:
                found, read = None, replace(read, newer=read.newer + 1)
            else:
                read = replace(read, unreadable=read.unreadable + (found is None))
            if found is not None:
                batch.append((position, len(raw), found))
            if len(batch) >= LINES_AT_ONCE:
                self._store.add_lines(read, batch, read)
                batch = []
        self._store.add_lines(read, batch, replace(read, stamp=stamp))

    def _say(self, notice: str) -> None:
        others = [said for said in self._said if said != notice]
        self._said = [*others[-KEPT_NOTICES:], notice]


def _name_of(folder: Path) -> str:
    return sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def _file_notice(file: LogFile) -> str | None:
    """What of a file is not shown."""
    parts = []
    if file.newer:
        parts.append(f"{_lines(file.newer, 'was', 'were')} written by a newer version of the agent")
    if file.unreadable:
        parts.append(_lines(file.unreadable, "cannot be read", "cannot be read"))
    return f"{file.name}: {' and '.join(parts)}; left out" if parts else None


def _lines(count: int, one: str, many: str) -> str:
    return f"1 line {one}" if count == 1 else f"{count} lines {many}"
