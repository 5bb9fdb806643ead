"""The policy file as it is on the disk now, loaded anew after each save.

In: the policy's name. Out: decide_action and its source; ConfigurationError where the file cannot be loaded, as after
every second keystroke. Modules that the file has brought along from its own folder are loaded anew with it. Runs it.
"""

from __future__ import annotations

import linecache
import sys
from pathlib import Path

from cli.policy_file import load_policy, policy_file
from models import Clock
from policies.call import Policy

LOOK_EVERY_SECONDS = 0.1

Stamp = tuple[int, int]


class PolicyWatch:
    """Loads a policy again and again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._modules_before = set(sys.modules)
        self._path: Path | None = None
        self._stamp: Stamp | None = None

    def load(self) -> tuple[Policy, str]:
        """The policy as it is saved now; raises ConfigurationError."""
        self._forget()
        self._stamp = self._stamp_now()
        writes_before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # two saves within a second look alike
        try:
            return load_policy(self.name)
        finally:
            sys.dont_write_bytecode = writes_before

    def wait_for_save(self, clock: Clock) -> None:
        """Until the file is another than the one that was loaded; a file that is away for a moment is waited for."""
        while self._stamp_now() in (None, self._stamp) and not clock.is_stopped:
            clock.sleep(LOOK_EVERY_SECONDS)

    @property
    def path(self) -> Path:
        """Where the file is; by its name in the folder one is in, else in the agent's own."""
        if self._path is None:
            self._path = policy_file(self.name)
        return self._path

    def _stamp_now(self) -> Stamp | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _forget(self) -> None:
        """What was loaded with the policy, as far as it lies in the policy's folder or is the policy itself."""
        own_name = self.path.stem if "/" in self.name else self.name.removesuffix(".py")
        for name, module in list(sys.modules.items()):
            source = getattr(module, "__file__", None)
            is_new = name not in self._modules_before and source is not None
            if name == own_name or (is_new and Path(str(source)).parent == self.path.parent):
                del sys.modules[name]
        linecache.checkcache()
