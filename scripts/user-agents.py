"""Writes the lists by which mappings tell user agents apart, from the packages of those who keep them.

    pip install --no-deps --target /tmp/agents ua-parser-builtins crawler-user-agents
    python3 scripts/user-agents.py /tmp/agents

Then run the tests of sources, and correct the versions in `sources/src/mapping/user_agent/README.md`.
"""

import json
import pathlib
import sys
import types

FOLDER = pathlib.Path(__file__).parent.parent / "sources/src/mapping/user_agent"


def rule(name: str):
    """A rule of uap-core: a regular expression, and the name of what it finds where that is not its first group."""
    return lambda regex, family=None, *versions: {"regex": regex} | ({name: family} if family else {})


def main(packages: str) -> None:
    # The rules come as calls of this module, which the package `ua-parser` has.
    parser = types.ModuleType("ua_parser.user_agent_parser")
    parser.UserAgentParser = rule("family_replacement")
    parser.OSParser = rule("os_replacement")
    parser.DeviceParser = lambda *rule: None
    sys.modules |= {"ua_parser": types.ModuleType("ua_parser"), "ua_parser.user_agent_parser": parser}
    sys.path.insert(0, packages)
    from ua_parser_builtins import regexes

    lists = {"user_agent_parsers": regexes.USER_AGENT_PARSERS, "os_parsers": regexes.OS_PARSERS}
    text = json.dumps(lists, ensure_ascii=False, separators=(",", ":")).replace("},{", "},\n{")
    (FOLDER / "uap-core.json").write_text(text + "\n")
    crawlers = json.loads((pathlib.Path(packages) / "crawleruseragents/crawler-user-agents.json").read_text())
    patterns = [crawler["pattern"].replace("\\/", "/") for crawler in crawlers]
    assert all(pattern.isprintable() for pattern in patterns)
    (FOLDER / "crawlers.txt").write_text("\n".join(patterns) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
