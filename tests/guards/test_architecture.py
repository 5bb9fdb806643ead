"""The floor plan: who may import whom, where orders, clocks, dice and disks are, and what a visitor sees first.

Read from the source with ast: imports inside functions and under TYPE_CHECKING count like any other. A new module
needs a line in FLOOR_PLAN; a new import of an old one needs a reason.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# From the ground up, one line a room: what it may import. Only rooms above it can be named.
FLOOR_PLAN: dict[str, set[str]] = {
    "deribit/symbols": set(),  # below all others: what a symbol says is a part of the vocabulary
    "deribit/vocabulary": {"deribit/symbols"},  # the exchange's half of models, which hands it on
    "core/columns": set(),
    "core/chain": {"core/columns", "deribit/vocabulary"},  # what the protocol of a client in models speaks of
    "core/choices/decisions": {"deribit/vocabulary"},  # the deciders' half of models, handed on in the same way
    "models": {"core/chain", "core/choices/decisions", "deribit/vocabulary"},
    "core/settings": {"models"},  # the one part of core that stands below config, which is built on it
    "config": {"core/settings", "models"},
    "core": {"config", "core/chain", "core/columns", "deribit/symbols", "deribit/vocabulary", "models"},
    "deribit": {
        "config",
        "core",
        "core/chain",
        "core/columns",
        "core/settings",
        "deribit/symbols",
        "deribit/vocabulary",
        "models",
    },
    "policies/language_model/request": set(),  # one request to a model, for the policy and for the page that asks one
    "policies": {"config", "core", "core/settings", "models", "policies/language_model/request"},
    "policy_rule_based": {"config", "core", "models"},
    "risk_engine": {"config", "core", "deribit/symbols", "models"},
    "logging_utils": {"core", "models"},
    "paper_exchange": {"core", "core/chain", "core/columns"},  # a market has its chain in columns already
    "paper_exchange/in_process": {  # speaks the agent's words, not JSON
        *("config", "core", "core/chain", "core/columns", "models", "paper_exchange"),
    },
    "orders": {"config", "core", "deribit/symbols", "logging_utils", "models"},
    "deribit_client": {"config", "core", "core/chain", "deribit", "deribit/vocabulary", "models"},
    "state_builder": {
        "config",
        "core",
        "core/chain",
        "deribit",
        "models",
        "risk_engine",
    },
    "execution": {"config", "core", "models", "orders"},
    "cli": {
        *(
            "config",
            "core",
            "core/settings",
            "deribit",
            "deribit_client",
            "logging_utils",
            "models",
            "orders",
            "paper_exchange",
            "paper_exchange/in_process",
        ),
        *("policies", "risk_engine", "state_builder"),  # --check asks the judge what it would say
    },
    "agent_loop": {
        *("cli", "config", "core", "deribit", "execution", "logging_utils", "models", "orders", "policies"),
        *("risk_engine", "state_builder"),
    },
    "backtest/statistics": set(),  # numbers in, numbers out: whoever shows results may ask how sure they are
    "backtest": {
        "backtest/statistics",
        *("agent_loop", "cli", "config", "core", "core/settings", "deribit", "deribit_client", "logging_utils"),
        *("models", "orders", "paper_exchange", "paper_exchange/in_process", "policies", "state_builder"),
        "risk_engine",  # which actions an environment may offer is its word
        "core/chain",  # the columns in which a market shows its quotes
        "policy_rule_based",  # the data sheet measures it
        "core/columns",  # thousands of accounts are columns too
    },
    # Reads logs; no way to an order: neither execution nor deribit_client, nor agent_loop or cli, which hold them.
    "dashboard": {
        *(
            "config",
            "core",
            "core/chain",
            "core/columns",
            "core/settings",
            "deribit/symbols",
            "logging_utils",
            "models",
        ),
        "backtest/statistics",
        "policies/language_model/request",
        "paper_exchange",  # recorded chains: what they quoted, which options they list
    },
}
# The rooms of the paper exchange, in the same way; its doors (the files beside them) may import all of them.
EXCHANGE_PLAN: dict[str, set[str]] = {
    "market": set(),
    "account": {"market"},
    "simulated": {"market"},
    "recorded": {"market"},
    "testnet": {"market"},
    "shown": {"account", "market"},
    "api": {"account", "market", "shown"},
    "in_process": {"account", "market", "shown"},
}
MOST_FILES_IN_A_FOLDER = 14
CORE = (
    "core/action_form",
    "core/choices/action_set",
    "core/breaker",
    "core/candidates",
    "core/chain",
    "core/columns",
    "core/choices/decisions",
    "core/choices/near_misses",
    "core/results/call_book",
    "core/results/earnings",
    "core/results/settlements",
    "core/results/sold_calls",
    "core/results/steps",
    "core/results/table_rows",
    "core/context/ranges",
    "core/context/regimes",
    "core/context/year",
    "core/exposure",
    "core/iteration",
    "core/market_context",
    "core/log_lines/decision_lines",
    "core/log_lines/latest_chain",
    "core/log_lines/old_lines",
    "core/log_lines/order_events",
    "core/plausibility",
    "core/pricing",
    "core/quotes",
    "core/sending/order_gate",
    "core/choices/scoring",
    "core/choices/trades",
    "core/settings/modes",
    "core/settings/names",
    "core/settings/texts",
    "core/settings/values",
    "core/text",
    "core/trading_hours",
    "deribit/symbols",
    "orders/order_planning",
    "policies/exploration",
    "policies/language_model/labels",
    "policies/language_model/prompt",
    "policies/language_model/reply",
    "policies/output",
    "policy_rule_based",
    "risk_engine",
)
PURE_STANDARD_MODULES = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "functools",  # a cache of a pure function changes nothing
    "io",  # text in memory for the parser of .env
    "itertools",
    "json",  # parsing text: policies.output
    "math",
    "operator",
    "random",  # only with a seed, see below
    "re",
    "textwrap",  # breaking lines of text
    "types",
    "typing",
    "urllib",  # urlsplit: taking a URL apart
}
ARITHMETIC_OF_OTHERS = {"pydantic", "dotenv", "numpy"}  # checking values, splitting lines, columns: nothing outside

# Every place that asks for the time or draws a number; all others are handed a clock or a seed.
CLOCKS_AND_DICE: dict[str, set[str]] = {
    "dashboard/clock.py": {"datetime.now"},  # the age of a line
    "backtest/environment/data_sheet.py": {"random"},  # the random policy, seeded
    "backtest/simulator/presets.py": {"random"},  # random entries, seeded
    "backtest/surface/model.py": {"np.random"},
    "backtest/surface/observed.py": {"np.random"},
    "backtest/surface_errors.py": {"np.random"},
    "backtest/statistics/bootstrap.py": {"np.random"},
    "backtest/sweep/space.py": {"random"},  # which trials, seeded
    "deribit/clocks.py": {"time", "datetime.now"},
    "deribit/wire.py": {"random"},
    "policies/exploration.py": {"random"},  # seeded by the state
    "policies/language_model/request.py": {"time"},  # the deadline of a reply
    "policies/side_effects.py": {"random"},  # puts back the state that a policy may have changed
    "paper_exchange/__main__.py": {"time"},
    "paper_exchange/simulated/process.py": {"np.random"},
    "paper_exchange/simulated/quotes.py": {"np.random"},
}
TIME_AND_CHANCE_MODULES = {"time", "random", "secrets", "uuid"}
TIME_AND_CHANCE_NAMES = re.compile(r"(?:^|\.)(datetime\.now|datetime\.utcnow|datetime\.today|date\.today|np\.random)$")

ROOMS = {"backtest", "cli", "core", "dashboard", "deribit", "orders", "paper_exchange", "policies"}
VISIBLE_ENTRIES = {
    *(f"{name}.py" for name in FLOOR_PLAN if name not in ROOMS and "/" not in name),
    *ROOMS,
    "LICENSE",
    "README.md",
    "data",
    "logs",
    "requirements.txt",
    "tests",
}
EIGHT_PACKAGES = {"pydantic", "pydantic-settings", "python-dotenv", "httpx", "pandas", "numpy", "pytest", "respx"}


# --- reading source -----------------------------------------------------------------------------


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def sources_of(name: str) -> list[Path]:
    """The files of a top-level module or package."""
    single = PROJECT / f"{name}.py"
    files = [single] if single.exists() else sorted((PROJECT / name).rglob("*.py"))
    return [path for path in files if room_of(path.relative_to(PROJECT).with_suffix("").as_posix()) == name]


def room_of(path: str) -> str:
    """The line of the plan that a file or an imported module falls under; its first part where there is none."""
    lines = [name for name in FLOOR_PLAN if path == name or path.startswith(f"{name}/")]
    return max(lines, key=len, default=path.partition("/")[0])


def all_sources() -> list[Path]:
    return [path for name in FLOOR_PLAN for path in sources_of(name)]


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            yield node.module or ""


def roots_of(name: str) -> set[str]:
    """The rooms, or packages, of everything a module or package imports."""
    imported = (module for path in sources_of(name) for module in imported_modules(tree_of(path)))
    return {room_of(module.replace(".", "/")) for module in imported}


def project_modules() -> set[str]:
    files = {path.stem for path in PROJECT.glob("*.py") if not is_owners_policy(path)}
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    return (files | packages) - {"tests"}


def is_owners_policy(path: Path) -> bool:
    """A file that the owner may put beside ours and name with --policy."""
    if path.suffix != ".py" or path.stem in FLOOR_PLAN:
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == "decide_action" for node in tree_of(path).body)


FOLDED = (
    {f"{room}.{path.stem}" for room in ROOMS for path in (PROJECT / room).rglob("*.py")}
    | set(FLOOR_PLAN)
    | {
        "pydantic"  # validation is arithmetic too
    }
)


def relative_name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


# --- floors -------------------------------------------------------------------------------------


def test_the_plan_names_every_module_and_no_other() -> None:
    assert project_modules() == {name for name in FLOOR_PLAN if "/" not in name}


def test_imports_only_ever_lead_downwards() -> None:
    order = list(FLOOR_PLAN)
    for position, (name, allowed) in enumerate(FLOOR_PLAN.items()):
        assert allowed <= set(order[:position]), name


@pytest.mark.parametrize("name", FLOOR_PLAN)
def test_a_module_imports_only_what_the_plan_allows(name: str) -> None:
    assert (roots_of(name) & set(FLOOR_PLAN)) - {name} <= FLOOR_PLAN[name]


def test_every_file_has_a_room() -> None:
    """A file beside the rooms of the paper exchange is a door, and there are few of them; the rest stands in rooms."""
    stray = [path for path in PROJECT.glob("*/*.py") if path.parent.name not in {*ROOMS, "tests"}]
    assert not stray
    doors = {path.stem for path in (PROJECT / "paper_exchange").glob("*.py")}
    assert doors == {"__init__", "__main__", "exchange", "server", "setups", "storage", "transport"}
    assert {path.name for path in (PROJECT / "paper_exchange").iterdir() if (path / "__init__.py").exists()} == set(
        EXCHANGE_PLAN
    )


def test_no_folder_is_so_full_that_it_wants_rooms() -> None:
    folders = {path.parent for path in PROJECT.rglob("*.py") if not is_hidden(path)} - {PROJECT}
    full = {relative_name(folder): len(visible_files(folder)) for folder in folders}
    assert {name: count for name, count in full.items() if count > MOST_FILES_IN_A_FOLDER} == {}


def is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(PROJECT).parts)


def visible_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]


@pytest.mark.parametrize("room", EXCHANGE_PLAN)
def test_rooms_of_the_paper_exchange_import_only_downwards(room: str) -> None:
    prefix = "paper_exchange."
    files = sorted((PROJECT / "paper_exchange" / room).glob("*.py"))
    imported = {name for path in files for name in imported_modules(tree_of(path)) if name.startswith(prefix)}
    assert {name.split(".")[1] for name in imported} - {room} <= EXCHANGE_PLAN[room]


def test_execution_is_imported_by_the_loop_alone() -> None:
    assert [name for name in FLOOR_PLAN if "execution" in roots_of(name)] == ["agent_loop"]


def test_the_dashboard_has_no_way_to_an_order_and_needs_what_its_requirements_say() -> None:
    """Whatever it imports, and whatever that imports in turn."""
    reached, next_rooms = set[str](), {"dashboard"}
    while next_rooms:
        reached |= next_rooms
        next_rooms = {room for name in next_rooms for room in roots_of(name) & set(FLOOR_PLAN)} - reached
    assert not reached & {"execution", "deribit_client", "agent_loop", "cli", "deribit", "orders"}
    own = [line.partition("~=")[0] for line in requirements_in("dashboard/requirements.txt") if line[0] != "-"]
    assert own == ["fastapi", "uvicorn", "jinja2"]


def test_the_paper_exchange_shares_only_formulas_and_columns_with_the_agent() -> None:
    foreign = roots_of("paper_exchange") - set(sys.stdlib_module_names) - {"paper_exchange"}
    assert foreign == {"core", "core/chain", "core/columns", "httpx", "numpy", "pydantic", "pydantic_core"}


def test_only_the_owners_policy_and_the_first_words_import_by_name() -> None:
    def imports_by_name(path: Path) -> bool:
        return "importlib" in set(imported_modules(tree_of(path))) or "__import__(" in path.read_text(encoding="utf-8")

    assert [relative_name(path) for path in all_sources() if imports_by_name(path)] == [
        "cli/first_words.py",
        "cli/policy_file.py",
    ]


# --- one way to an order --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["private/buy", "private/sell"])
def test_only_the_client_names_the_methods_that_send_orders(method: str) -> None:
    naming = [relative_name(path) for path in all_sources() if method in path.read_text(encoding="utf-8")]
    assert [name for name in naming if not name.startswith("paper_exchange/")] == ["deribit_client.py"]


def test_one_function_of_the_client_names_them() -> None:
    functions = [node for node in ast.walk(tree_of(PROJECT / "deribit_client.py")) if isinstance(node, ast.FunctionDef)]
    naming = [function.name for function in functions if re.search(r"'private/(buy|sell)'", ast.unparse(function))]
    assert naming == ["_send_order"]


def test_only_these_can_reach_a_network() -> None:
    doors = {"httpx", "socket", "ssl", "http", "urllib.request", "requests", "distributed"}
    with_a_door = {name for name in FLOOR_PLAN for path in sources_of(name) if doors & modules_and_roots(path)}
    asks_a_model = "policies/language_model/request"  # and nobody else is asked there
    assert with_a_door == {"deribit_client", "deribit", "cli", "paper_exchange", asks_a_model, "backtest", "dashboard"}
    research = {relative_name(path) for path in sources_of("backtest") if doors & modules_and_roots(path)}
    assert research == {"backtest/download/client.py", "backtest/sweep/dask_cluster.py"}  # looks; a cluster's scheduler
    pages = {relative_name(path) for path in sources_of("dashboard") if doors & modules_and_roots(path)}
    # where the owner has named addresses for messages
    assert pages == {"dashboard/notify/channels.py", "dashboard/notify/__main__.py"}


def modules_and_roots(path: Path) -> set[str]:
    modules = set(imported_modules(tree_of(path)))
    return modules | {module.partition(".")[0] for module in modules}


# --- one place for it ---------------------------------------------------------------------------------

SYMBOLS = {"symbol", "new_symbol", "option_name", "instrument_name"}
TAKING_APART = {"split", "rsplit", "partition", "rpartition", "startswith", "endswith", "removeprefix", "removesuffix"}


def takes_a_symbol_apart(node: ast.AST) -> bool:
    """symbol[:3], name.split("-"): what a symbol says is read once, by those whose work that is."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TAKING_APART:
        return last_name(node.func.value) in SYMBOLS or is_split_at_dashes(node)
    return isinstance(node, ast.Subscript) and last_name(node.value) in SYMBOLS


def is_split_at_dashes(call: ast.Call) -> bool:
    """Whatever its variable is called: nothing else here has dashes between its parts."""
    return "split" in ast.unparse(call.func) and bool(call.args) and ast.unparse(call.args[0]) == "'-'"


def last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def test_a_symbol_is_taken_apart_where_symbols_are_read_and_nowhere_else() -> None:
    readers = {relative_name(path) for path in all_sources() if any(map(takes_a_symbol_apart, nodes_of(path)))}
    assert readers <= {"deribit/symbols.py", "paper_exchange/market/names.py"}  # the exchange has its own


def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


MOST_LOCAL_IMPORTS = 5  # each with a line that says why


def test_hardly_anything_is_imported_inside_a_function() -> None:
    inside = {f"{relative_name(path)}:{line}" for path in all_sources() for line in local_imports(path)}
    assert len(inside) <= MOST_LOCAL_IMPORTS, sorted(inside)


def local_imports(path: Path) -> set[int]:
    functions = (node for node in nodes_of(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    within = (inner for function in functions for inner in ast.walk(function))
    return {node.lineno for node in within if isinstance(node, ast.Import | ast.ImportFrom)}


MILLISECONDS = re.compile(r"timestamp\(\) \* 1_?000")


def test_a_time_becomes_milliseconds_in_one_place_a_side() -> None:
    """Of the agent; the paper exchange, which shares no parsing with it, divides a timedelta."""
    found = {relative_name(path) for path in all_sources() if MILLISECONDS.search(path.read_text(encoding="utf-8"))}
    assert found <= {"deribit/vocabulary.py", "core/log_lines/latest_chain.py"}


def test_what_the_product_defines_the_product_uses() -> None:
    """What only tests would name is a test's own, or dead. A decorated function is called by whoever decorates it."""
    texts = [path.read_text(encoding="utf-8") for path in (*all_sources(), *PROJECT.glob("*/README.md"))]
    named = Counter(word for text in texts for word in re.findall(r"\w+", text))
    defined = {name for path in all_sources() for name in names_defined_in(path)}
    assert {name for name in defined if named[name] == 1} == set()


def names_defined_in(path: Path) -> Iterator[str]:
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.decorator_list:
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else []
        yield from (target.id for target in targets if isinstance(target, ast.Name))


# --- clocks and dice --------------------------------------------------------------------------------


def time_and_chance(tree: ast.AST) -> set[str]:
    """What a file has to do with the time of day and with chance."""
    modules = TIME_AND_CHANCE_MODULES & set(imported_modules(tree))
    names = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    matches = (TIME_AND_CHANCE_NAMES.search(name) for name in names)
    return modules | {match.group(1) for match in matches if match is not None}


def test_time_and_chance_come_from_the_places_that_are_listed() -> None:
    found = {relative_name(path): time_and_chance(tree_of(path)) for path in all_sources()}
    assert {name: uses for name, uses in found.items() if uses} == CLOCKS_AND_DICE


def test_the_real_time_is_asked_for_in_the_system_clock_alone() -> None:
    tree = tree_of(PROJECT / "deribit" / "clocks.py")
    (clock,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "SystemClock")
    asking = r"datetime\.now\(|(?<!\.)\bmonotonic\(\)"
    assert len(re.findall(asking, ast.unparse(tree))) == len(re.findall(asking, ast.unparse(clock))) == 2


@pytest.mark.parametrize("name", ["deribit/wire.py", "policies/exploration.py"])
def test_dice_are_never_thrown_without_a_seed(name: str) -> None:
    uses = re.findall(r"\brandom\.\w+\(.?", ast.unparse(tree_of(PROJECT / name)))
    assert len(uses) == 1
    assert uses[0].startswith("random.Random(")
    assert not uses[0].endswith(")")


def test_the_simulated_market_draws_from_seeded_generators_alone() -> None:
    for path in sources_of("paper_exchange"):
        drawn = set(re.findall(r"np\.random\.(\w+)", path.read_text(encoding="utf-8")))
        assert drawn <= {"default_rng", "Generator", "PCG64"}, path.name
        assert not re.search(r"(default_rng|PCG64)\(\)", path.read_text(encoding="utf-8")), path.name


# --- the pure core ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_no_network_no_disk_and_no_process(name: str) -> None:
    roots = {module.partition(".")[0] for module in imported_modules(tree_of(PROJECT / f"{name}.py"))}
    assert roots - set(FLOOR_PLAN) <= PURE_STANDARD_MODULES | ARITHMETIC_OF_OTHERS


@pytest.mark.parametrize("name", CORE)
def test_the_core_neither_opens_nor_prints_nor_looks_at_files(name: str) -> None:
    forbidden = {"open", "print", "input", "exec", "eval", "exists", "read_text", "write_text", "stat", "is_file"}
    calls = (node.func for node in ast.walk(tree_of(PROJECT / f"{name}.py")) if isinstance(node, ast.Call))
    called = {func.attr if isinstance(func, ast.Attribute) else ast.unparse(func) for func in calls}
    assert not called & forbidden


@pytest.mark.parametrize("name", CORE)
def test_the_core_adds_floats_the_same_way_under_every_python(name: str) -> None:
    """sum() of floats compensates since Python 3.12, so its last digits differ from 3.11's; math.fsum's do not."""
    calls = (node.func for node in ast.walk(tree_of(PROJECT / f"{name}.py")) if isinstance(node, ast.Call))
    assert "sum" not in {ast.unparse(func) for func in calls}


@pytest.mark.parametrize("name", CORE)
def test_the_core_keeps_nothing_between_calls(name: str) -> None:
    assert not [node for node in ast.walk(tree_of(PROJECT / f"{name}.py")) if isinstance(node, ast.Global)]


# --- what a visitor sees --------------------------------------------------------------------------------


def test_the_visible_top_level_is_the_one_that_was_agreed() -> None:
    visible = {
        path.name for path in PROJECT.iterdir() if not path.name.startswith((".", "__")) and not is_owners_policy(path)
    }
    assert visible == VISIBLE_ENTRIES


def requirements_in(name: str) -> list[str]:
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_core_needs_eight_packages_and_says_how_new() -> None:
    wanted = [line.split("~=") for line in requirements_in("requirements.txt")]
    assert {name for name, _ in wanted} == EIGHT_PACKAGES
    assert len(wanted) == len(EIGHT_PACKAGES)
    assert all(re.fullmatch(r"\d+\.\d+(\.\d+)?(,>=\d+\.\d+\.\d+)?", version) for _, version in wanted)


def test_the_gate_tries_exactly_the_oldest_versions_that_are_allowed() -> None:
    def oldest(line: str) -> str:
        name, version = re.split(r"~=", line)
        least = version.rpartition(">=")[2]
        return f"{name}=={least}" + ".0" * (2 - least.count("."))

    assert requirements_in("tests/oldest.txt") == [oldest(line) for line in requirements_in("requirements.txt")]


def test_the_agent_needs_no_package_beyond_them() -> None:
    import_names = {package.replace("python-", "").replace("-", "_") for package in EIGHT_PACKAGES}
    with_their_own = {"backtest", "dashboard"}  # a requirements file in the room
    agent = (name for name in FLOOR_PLAN if name not in with_their_own)
    used = set().union(*map(roots_of, agent)) - set(sys.stdlib_module_names) - set(FLOOR_PLAN)
    assert used <= import_names - {"pytest", "respx"} | {"pydantic_core"}  # pydantic's own other half


def test_every_module_opens_by_saying_what_it_is() -> None:
    for path in all_sources():
        assert ast.get_docstring(tree_of(path)), relative_name(path)
