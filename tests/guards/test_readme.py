"""The README and the texts it links to are true: commands, outputs, tables and examples are checked against the code.

`python -m tests.guards.test_readme` writes the outputs anew after a change that is meant to change them. Outputs that
depend on the policy are compared only while the policy is the one they were written with: it is yours to edit.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import backtest.evaluate.__main__
import backtest.replay.__main__
import backtest.run
import backtest.sweep.__main__
import config
from agent_loop import main
from logging_utils import IterationRecord
from paper_exchange.server import PaperServer
from paper_exchange.setups import simulated_setup
from tests.builders.agent import folders, run_main
from tests.builders.configs import KEY
from tests.campaign.report.figures import committed_table
from tests.guards.test_architecture import ROOMS, is_owners_policy

README = config.PROJECT_FOLDER / "README.md"
LOGS_README = config.PROJECT_FOLDER / "logs" / "README.md"
CAMPAIGN_README = config.PROJECT_FOLDER / "tests" / "campaign" / "README.md"
LONG_RUN = ["--market", "simulated", "--iterations", "120", "--interval", "21600", "--quiet"]


def section(name: str, file: Path = README) -> str:
    """The text between `<!-- name -->` and `<!-- /name -->`."""
    return file.read_text().split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0]


def policy_mark() -> str:
    """The policy that the README's outputs come from, whatever its comments say."""
    source = (config.PROJECT_FOLDER / "policy_rule_based.py").read_text()
    code = "\n".join(line.partition("  # ")[0] for line in source.splitlines())
    return f"<!-- outputs of policy {hashlib.sha256(code.encode()).hexdigest()[:8]} -->"


@pytest.fixture
def policy_as_shown() -> None:
    if policy_mark() not in README.read_text():
        pytest.skip(
            "policy_rule_based.py was edited, so the README shows what it did before "
            "(python -m tests.guards.test_readme writes the outputs anew)"
        )


def fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def printed_by(arguments: list[str], folder: Path) -> str:
    """What a run of the agent prints, without the lines about its settings and folders."""
    output = io.StringIO()
    folders = ["--log-dir", str(folder / "logs" / "simulated"), "--data-dir", str(folder / "data")]
    with contextlib.redirect_stdout(output):
        assert main(arguments + folders) == 0
    said = re.split(r"\n(?!  \S)", output.getvalue().rstrip())  # two blanks begin the rest of a line
    of_the_run = ("mode:", "settings changed", "calls without a bid", "kill file", "stopped after")
    return "\n".join(line for line in said if not line.startswith(of_the_run))


def first_iteration(folder: Path) -> str:
    return printed_by(["--market", "simulated", "--once"], folder)


@contextlib.contextmanager
def edited_policy(folder: Path) -> Iterator[None]:
    """The README's own edit of the policy, as my_policy."""
    source = (config.PROJECT_FOLDER / "policy_rule_based.py").read_text()
    edited = source.replace("OWN_POINTS_PER_DELTA = 0.0", "OWN_POINTS_PER_DELTA = -360.0")
    assert edited != source
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "my_policy.py").write_text(edited)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("my_policy", None)


def policy_before_and_after(folder: Path) -> str:
    """What the edit changes, once."""
    with edited_policy(folder):
        once = ["--market", "simulated", "--iterations", "1", "--quiet"]
        after = printed_by([*once, "--policy", "my_policy"], folder / "after")
        return printed_by(once, folder / "before") + "\n" + after


def replayed_and_evaluated(folder: Path) -> tuple[str, str]:
    """What the two commands of the README say of the edited policy on the example run; of a replay its first lines."""
    printed_by(LONG_RUN, folder)
    arguments = [str(folder / "logs" / "simulated"), "--policy", "my_policy"]
    with edited_policy(folder):
        replayed = said_by(backtest.replay.__main__.main, arguments)
        evaluated = said_by(backtest.evaluate.__main__.main, arguments)
    return "\n".join(re.split(r"\n(?=\d{4}-)", replayed)[:2]), evaluated


def said_by(command: Callable[[list[str]], int], arguments: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert command(arguments) == 0
    return output.getvalue()


def backtested(folder: Path) -> str:
    """What both commands of the README print, without the folder of the report."""
    commands = re.findall(r"^python -m backtest\.run (.*)$", README.read_text(), re.M)
    assert len(commands) == 2
    output = io.StringIO()
    with edited_policy(folder), contextlib.redirect_stdout(output):
        for command in commands:
            assert backtest.run.main([*command.split(), "--out", str(folder)]) == 0
    return "\n".join(line for line in output.getvalue().splitlines() if not line.startswith("report: "))


def swept(folder: Path) -> str:
    """What the sweep of the README prints, without the folder of its files."""
    (command,) = re.findall(r"^python -m backtest\.sweep (.*)$", README.read_text(), re.M)
    output = io.StringIO()
    with edited_policy(folder), contextlib.redirect_stdout(output):
        assert backtest.sweep.__main__.main([*command.split(), "--out", str(folder)]) == 0
    return output.getvalue().split("\nin /")[0]


def order_check(folder: Path) -> str:
    """What --check --with-order says of its order, on a simulated exchange of this machine."""
    setup = simulated_setup(1, {"BTC": 1.0, "ETH": 10.0})
    server = PaperServer(setup.exchange)
    server.start()
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("HOME", str(folder))
        settings.setenv("DERIBIT_BASE_URL", server.url)
        settings.setenv("DERIBIT_CLIENT_ID", KEY[0])
        settings.setenv("DERIBIT_CLIENT_SECRET", KEY[1])
        ended = run_main("--check", "--with-order", *folders(folder), clock=lambda: setup.clock)
    server.stop()
    assert ended.code == 0, ended.out + ended.err
    return ended.out[ended.out.index("ok    locks") :]


def answers(folder: Path) -> list[str]:
    """What the README's pandas snippets print about its example run."""
    printed_by(LONG_RUN, folder)
    snippets = re.findall(r"```python\n(.*?)```", README.read_text().split("## Reading the logs")[1], re.S)[:3]
    names: dict[str, object] = {}
    found = []
    for snippet in snippets:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(snippet.replace("logs/example", str(folder / "logs" / "simulated")), names)
        found.append(output.getvalue())
    return found


@pytest.fixture(scope="module")
def example_answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("readme")
    yield answers(folder)
    shutil.rmtree(folder)


@pytest.mark.usefixtures("policy_as_shown")
def test_the_iteration_shown_is_the_one_the_agent_prints(tmp_path: Path) -> None:
    assert section("iteration") == fenced(first_iteration(tmp_path))


@pytest.mark.usefixtures("policy_as_shown")
def test_the_policy_edit_shown_does_what_the_readme_says(tmp_path: Path) -> None:
    assert section("policy") == fenced(policy_before_and_after(tmp_path))


@pytest.mark.usefixtures("policy_as_shown")
def test_the_replay_and_the_evaluation_shown_are_what_the_commands_print(tmp_path: Path) -> None:
    replay, evaluation = replayed_and_evaluated(tmp_path)
    assert section("try replay") == fenced(replay)
    assert section("evaluate") == fenced(evaluation)


@pytest.mark.usefixtures("policy_as_shown")
def test_the_backtest_shown_is_what_the_commands_print(tmp_path: Path) -> None:
    assert section("try backtest") == fenced(backtested(tmp_path))


@pytest.mark.usefixtures("policy_as_shown")
def test_the_sweep_shown_is_what_the_command_prints(tmp_path: Path) -> None:
    assert section("sweep") == fenced(swept(tmp_path))


def test_the_order_check_shown_is_the_one_the_agent_prints(tmp_path: Path) -> None:
    assert section("with order") == fenced(order_check(tmp_path))


@pytest.mark.usefixtures("policy_as_shown")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_pandas_snippets_print_what_is_shown(number: int, example_answers: list[str]) -> None:
    assert section(f"answer {number}") == fenced(example_answers[number - 1])


def test_the_example_environment_is_the_one_config_prints() -> None:
    assert (config.PROJECT_FOLDER / ".env.example").read_text() == config.env_example()


def test_the_campaign_s_table_is_the_one_that_was_measured() -> None:
    assert section("campaign", CAMPAIGN_README) == committed_table()


def test_every_field_of_a_log_line_is_explained() -> None:
    text = LOGS_README.read_text()
    missing = [name for name in IterationRecord.model_fields if f"`{name}`" not in text]
    assert missing == []


def test_every_file_of_the_campaign_has_its_line() -> None:
    folder = CAMPAIGN_README.parent
    rooms = re.split(r"\n`(\w+)/` ", CAMPAIGN_README.read_text())
    named = {f"{room}/{name}" for room, text in zip(rooms[1::2], rooms[2::2], strict=True) for name in files_in(text)}
    files = {f"{path.parent.name}/{path.name}" for path in folder.glob("*/*.py") if not path.stem.startswith("__")}
    assert named == files


def files_in(text: str) -> list[str]:
    return re.findall(r"`(\w+\.py)`", text)


def test_every_module_has_its_line_in_the_tree() -> None:
    """A folder inside a room has one line for all its files; the paper exchange lists its own."""
    tree = README.read_text().split("## Where things are")[1].split("\n## ")[0]
    modules = {path.name for path in config.PROJECT_FOLDER.glob("*.py") if not is_owners_policy(path)}
    for room in ROOMS - {"paper_exchange"}:
        inside = [path for path in (config.PROJECT_FOLDER / room).iterdir() if not path.name.startswith("_")]
        modules |= {path.name for path in inside if path.suffix == ".py"}
        modules |= {f"{path.name}/" for path in inside if path.is_dir()}
    assert {name for name in modules if not re.search(rf"^ *{re.escape(name)} ", tree, re.M)} == set()


def test_every_option_named_in_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    used = set(re.findall(r"agent_loop\.py[^\n|`]*", README.read_text()))
    options = {option for line in used for option in re.findall(r"--[a-z-]+", line)}
    assert options <= known


def test_the_gate_runs_the_readme_s_commands() -> None:
    gate = (config.PROJECT_FOLDER / ".ci" / "run").read_text()
    commands = re.findall(r'readme_command "([^"]+)"', gate)
    assert len(commands) == 2
    assert all(command in README.read_text() for command in commands)


def rewrite() -> None:
    """Put the current outputs and tables into the texts, and the settings into .env.example."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        replay, evaluation = replayed_and_evaluated(folder / "replay")
        outputs = {
            "iteration": fenced(first_iteration(folder / "one")),
            "policy": fenced(policy_before_and_after(folder)),
            "try replay": fenced(replay),
            "evaluate": fenced(evaluation),
            "try backtest": fenced(backtested(folder / "backtest")),
            "sweep": fenced(swept(folder / "sweep")),
            "with order": fenced(order_check(folder / "check")),
        } | {f"answer {i}": fenced(answer) for i, answer in enumerate(answers(folder / "long"), 1)}
    replace_sections(README, outputs)
    README.write_text(re.sub("<!-- outputs of policy .* -->", policy_mark(), README.read_text()))
    replace_sections(CAMPAIGN_README, {"campaign": committed_table()})
    (config.PROJECT_FOLDER / ".env.example").write_text(config.env_example())


def replace_sections(file: Path, bodies: dict[str, str]) -> None:
    text = file.read_text()
    for key, body in bodies.items():
        before, rest = text.split(f"<!-- {key} -->\n")
        text = f"{before}<!-- {key} -->\n{body}<!-- /{key} -->" + rest.split(f"<!-- /{key} -->", 1)[1]
    file.write_text(text)


def write_or_check(arguments: list[str]) -> int:
    """`--check` only says whether the outputs are those of the policy as it is."""
    if arguments != ["--check"]:
        rewrite()
    is_shown = policy_mark() in README.read_text()
    print("" if is_shown else "README.md shows another policy: python -m tests.guards.test_readme writes it anew")
    return 0 if is_shown else 1


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:]))
