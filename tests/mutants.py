"""How many small faults in a folder the fast tests find: a random sample of mutmut's mutants, and the score.

`make mutants FOLDER=registry` runs it. mutmut changes one expression of one function at a time
(https://mutmut.readthedocs.io) and notes which tests reach which function; a mutant is killed if one of them fails.
mutmut runs every such test for each mutant, of which our state machines alone take a minute, and has no sample: so the
mutants are run here, the quickest tests first. All happens in a copy of the tree, in `.mutants/FOLDER`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
QUIET: Final = ("-q", "--rootdir=.", "-p", "no:cacheprovider", "--hypothesis-profile=repeatable")
"""The profile of `tests/conftest.py` with the same few examples each time."""
SENTENCE: Final = r'"[^"]*\w[,;:.]? [\w{][^"]*"'
"""Lines with words for people are left out: tests do not fix how a message is put."""
SURVIVED: Final = (0, None)
"""Exit codes: each test passed; no test reaches the function."""
MOST_SECONDS: Final = 120
"""Of processor time for a mutant; what waits for ever ends by pytest's own limit."""


def copy_tree(folder: Path) -> list[str]:
    """Copy what git knows or does not ignore into `folder`; return the names at its top level."""
    shutil.rmtree(folder, ignore_errors=True)
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [name for name in listed if name and (ROOT / name).is_file()]
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return sorted({name.split("/")[0] for name in files})


def settings(package: str, tests: Sequence[str], top_level: Sequence[str]) -> str:
    """Return mutmut's `setup.cfg`: what it changes, what it copies beside that, and the tests that it runs."""
    values: dict[str, Sequence[str]] = {
        "source_paths": [package],
        "also_copy": [name for name in top_level if name != package],
        "pytest_add_cli_args_test_selection": [*tests, "-m", "not slow"],
        "pytest_add_cli_args": [*QUIET[1:], "-p", "tests.fixture_readers"],
        "do_not_mutate_patterns": [SENTENCE],
        "process_isolation": ["forkserver"],  # threads of gRPC and torch do not survive a fork
        "use_git_change_detection": ["false"],
    }
    return "[mutmut]\n" + "".join(
        f"{key} = {value[0]}\n" if len(value) == 1 else f"{key} =\n" + "".join(f"    {item}\n" for item in value)
        for key, value in values.items()
    )


def generate(workers: int) -> tuple[list[str], dict[str, list[str]]]:
    """Write the mutants of the working directory; return their names, and the tests of each, the quickest first."""
    tool: Any = importlib.import_module("mutmut.__main__")
    mangled: Any = importlib.import_module("mutmut.utils.format_utils").mangled_name_from_mutant_name
    tool.set_mutant_under_test("mutant_generation")
    tool.copy_src_dir()
    tool.copy_also_copy_files()
    tool.setup_source_paths()
    tool.create_mutants(workers)
    tool.collect_or_load_stats(tool.get_mutant_runner(workers))
    known = json.loads(Path("mutants/mutmut-stats.json").read_text())
    seconds: dict[str, float] = known["duration_by_test"]
    reached: dict[str, list[str]] = known["tests_by_mangled_function_name"]
    metas = [json.loads(file.read_text()) for file in Path("mutants").rglob("*.py.meta")]
    names = sorted(name for meta in metas for name in meta["exit_code_by_key"])
    return names, {name: sorted(reached.get(mangled(name), []), key=lambda test: seconds[test]) for name in names}


def run(mutants: Sequence[str], tests: Mapping[str, Sequence[str]], workers: int) -> dict[str, int | None]:
    """Run the tests of each mutant in a fork of this process; return their exit codes, None where there are none."""
    os.chdir("mutants")
    os.environ["MUTANT_UNDER_TEST"] = ""
    files = sorted({test.split("::")[0] for name in mutants for test in tests[name]})
    pytest.main(["--collect-only", "-qq", *QUIET, *files])  # imports what the forks need, once
    codes: dict[str, int | None] = dict.fromkeys(mutants)
    running: dict[int, str] = {}
    for name in (name for name in mutants if tests[name]):
        if len(running) == workers:
            codes.update([_ended(running)])
        running[_start(name, tests[name])] = name
    while running:
        codes.update([_ended(running)])
    os.chdir("..")
    return codes


def _start(name: str, tests: Sequence[str]) -> int:
    child = os.fork()
    if child:
        return child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.environ["MUTANT_UNDER_TEST"] = name
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))  # some mutants never end
    os._exit(int(pytest.main(["-x", *QUIET, *tests])))


def _ended(running: dict[int, str]) -> tuple[str, int]:
    """Wait for a mutant to end; return its name and exit code."""
    child, status = os.wait()
    return running.pop(child), os.waitstatus_to_exitcode(status)


def main() -> None:
    """Print the score of one folder, and the difference that each surviving mutant makes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="package whose functions are changed")
    parser.add_argument("--tests", nargs="*", help="tests to run; by default those in tests/FOLDER")
    parser.add_argument("--sample", type=int, default=300, help="mutants to try; 0 for all")
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--most-tests", type=int, default=400, help="the quickest so many of each mutant; 0 for all")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()

    place = ROOT / ".mutants" / options.folder
    top_level = copy_tree(place)
    tests = options.tests or [f"tests/{options.folder}"]
    (place / "setup.cfg").write_text(settings(options.folder, tests, top_level))
    os.chdir(place)
    names, covering = generate(options.workers)
    chosen = names
    if 0 < options.sample < len(names):
        chosen = random.Random(options.seed).sample(names, options.sample)
    most = options.most_tests or None
    codes = run(chosen, {name: covering[name][:most] for name in chosen}, options.workers)

    differ: Any = importlib.import_module("mutmut.__main__").show.callback
    for name in (name for name, code in codes.items() if code in SURVIVED):
        differ(name)
    count = Counter("no test" if code is None else "survived" if code == 0 else "killed" for code in codes.values())
    print(f"{options.folder}: {count['killed'] / len(chosen):.1%} of {len(chosen)} mutants killed; {dict(count)}")
    print(f"A sample of {len(names)} by seed {options.seed}; tests: {' '.join(tests)}, at most {most} of each mutant.")


if __name__ == "__main__":
    sys.exit(main())
