"""A policy, from the name of its file. Runs the file: what it does when imported is the owner's business.

In: a module name, which is looked for beside agent_loop.py (and in the folder one is in), then in policies/. Out: its
decide_action and the source, which is hashed into every line of the log.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType

from config import PROJECT_FOLDER
from core.settings.texts import not_utf8
from models import ConfigurationError
from policies.call import Policy
from policies.side_effects import process_put_back

POLICY_ROOM = "policies"


def load_policy(name: str) -> tuple[Policy, str]:
    """decide_action of a module and the source it came from; raises ConfigurationError."""
    name = _in_its_room(name)
    path = Path(name).expanduser().resolve() if "/" in name else None
    if path is not None and not (path.is_file() and path.suffix == ".py"):
        raise ConfigurationError(f"policy {name}: there is no such .py file")
    module = _import(name, path)
    if path is not None and Path(str(module.__file__)).resolve() != path:
        raise ConfigurationError(f"policy {name}: {path.name} is the name of another module of the agent: rename it")
    decide = getattr(module, "decide_action", None)
    if not callable(decide):
        raise ConfigurationError(f"policy {name}: it has no function decide_action(agent_state, config)")
    try:
        return decide, inspect.getsource(module)
    except OSError:
        _refuse_other_encodings(name, Path(str(module.__file__)))  # a letter in a comment does not keep it from running
        raise ConfigurationError(
            f"policy {name}: its source cannot be read, and every log line carries a hash of it"
        ) from None


def _in_its_room(name: str) -> str:
    """A plain name that only policies/ has, as a name in that room; raises ConfigurationError where both have it."""
    plain = name.removesuffix(".py")
    if not plain.isidentifier() or not (PROJECT_FOLDER / POLICY_ROOM / f"{plain}.py").is_file():
        return name
    beside = [folder / f"{plain}.py" for folder in dict.fromkeys((Path.cwd(), PROJECT_FOLDER))]
    owners = next((path for path in beside if path.is_file()), None)
    if owners is not None:
        raise ConfigurationError(
            f"policy {name}: there is {owners} and {POLICY_ROOM}/{plain}.py of the agent: rename yours"
        )
    return f"{POLICY_ROOM}.{plain}"


def _meant(name: str) -> str:
    """The nearest name of a file beside agent_loop.py, in this folder or in policies/, as the end of a sentence."""
    folders = dict.fromkeys((Path.cwd(), PROJECT_FOLDER, PROJECT_FOLDER / POLICY_ROOM))
    names = [path.stem for folder in folders for path in sorted(folder.glob("*.py"))]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def policy_file(name: str) -> Path:
    """Where the file of a policy is, or would be; raises ConfigurationError as load_policy does."""
    if "/" in name:
        return Path(name).expanduser().resolve()
    here = Path(f"{_in_its_room(name).removesuffix('.py').replace('.', '/')}.py")
    return here.resolve() if here.exists() else PROJECT_FOLDER / here


def _import(name: str, path: Path | None) -> ModuleType:
    """The module itself, whatever happens while it is read; only Ctrl-C passes."""
    module_name = name.removesuffix(".py") if path is None else path.stem
    folder = Path.cwd() if path is None else path.parent
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last: a file lying there must not stand in for one of the agent's own
    try:
        with process_put_back():
            return importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0]:
            raise ConfigurationError(f"policy {name}: it imports {error.name}, which is not installed") from None
        raise ConfigurationError(f"policy {name}: there is no {module_name}.py here{_meant(module_name)}") from None
    except BaseException as error:  # noqa: BLE001 - the owner's file may do anything when imported
        _refuse_other_encodings(name, folder / f"{module_name}.py")
        problem = f"{type(error).__name__}: {error}"
        if not isinstance(error, SyntaxError):  # whose text says where
            problem += f" (line {traceback.extract_tb(error.__traceback__)[-1].lineno})"
        raise ConfigurationError(f"policy {name} cannot be imported: {problem}") from None


def _refuse_other_encodings(name: str, file: Path) -> None:
    if file.is_file():
        problem = not_utf8(file.read_bytes())
        if problem is not None:
            raise ConfigurationError(f"policy {name}: {file.name} is not UTF-8 ({problem})")
