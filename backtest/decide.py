"""One state decided again, by any policy, under any settings: for those who must not load a policy themselves.

In, on stdin: {"state": AgentState, "config": AgentConfig, "policy": name}, as JSON. Out: the action the
policy proposes and the risk engine's verdict on it, as JSON, or {"problem": sentence}. Sends nothing, reads no `.env`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cli.policy_file import load_policy
from config import AgentConfig
from models import AgentState, ConfigurationError
from policies.call import ask_policy
from risk_engine import judge_action
from state_builder import with_choices


def decided(asked: dict[str, Any]) -> dict[str, Any]:
    """What the policy would do, and whether it might."""
    config = AgentConfig.model_validate(asked["config"])
    try:
        policy, _ = load_policy(str(asked["policy"]))
    except ConfigurationError as error:
        return {"problem": str(error)}
    state = with_choices(AgentState.model_validate_json(json.dumps(asked["state"])), config)
    answer = ask_policy(policy, state, config)
    verdict = judge_action(state, answer.action, config)
    return {"action": answer.action.model_dump(mode="json"), "verdict": verdict.model_dump(mode="json")}


def main() -> int:
    print(json.dumps(decided(json.load(sys.stdin))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
