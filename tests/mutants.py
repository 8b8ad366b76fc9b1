"""Mutation testing: how many mutants in a random sample of a folder's the fast tests kill, and the score.

`make mutants FOLDER=registry` runs it; FOLDER="registry infra" tries several. mutmut changes one expression of one
function at a time (https://mutmut.readthedocs.io) and records which tests reach which function; a mutant is killed if
one of them fails. mutmut cannot sample and runs every such test for each mutant, which takes a minute for state
machines alone. So the mutants are run here: first the tests in the module's own test file, the quickest first.
A mutant that no test kills is type-checked as `make check` does; the table says how many only that step kills.

It works in a copy of the tree, `.mutants/FOLDER`, which is kept: a later run collects only what changed, does not
repeat mutants that were killed, and with a larger SAMPLE adds mutants to those that it has tried.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
QUIET: Final = ("-q", "--rootdir=.", "-p", "no:cacheprovider", "--hypothesis-profile=repeatable")
"""The profile of `tests/conftest.py` with the same few examples each time."""
LEFT_OUT: Final = (r'"[^"]*\w[\',;:.]* [\w{][^"]*"', r"\bcast\(")
"""Lines with text for people, because tests do not check the wording of messages, and casts, which do nothing."""
STATISTICS: Final = Path("mutants/mutmut-stats.json")
CODES: Final = Path("codes.json")
"""Mutant -> the hash of its function and the exit code of its tests, of earlier runs."""
MOST_SECONDS: Final = 60
"""CPU time limit of a mutant; a mutant that waits forever ends by pytest's own limit."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Results of a sample of a folder's mutants."""

    folder: str
    mutants: int
    killed: int = 0
    survived: int = 0
    """Every test that reaches the function passed."""
    untested: int = 0
    """No test reaches the function."""
    type_errors: int = 0
    """How many of those that no test kills the type checker reports."""

    @property
    def tried(self) -> int:
        """Size of the sample."""
        return self.killed + self.survived + self.untested

    def row(self) -> str:
        """A row of the table that `make mutants` prints."""
        from registry.intervals import wilson_interval  # only after the mutants of `registry` are imported

        low, high = wilson_interval(self.killed, self.tried)
        share = f"{self.killed / self.tried:.1%}" if self.tried else "-"
        checked = f"{(self.killed + self.type_errors) / self.tried:.1%}" if self.tried else "-"
        counts = f"{self.mutants} | {self.tried} | {self.killed} | {self.survived} | {self.untested}"
        return f"| {self.folder} | {counts} | {share} | {low:.1%} to {high:.1%} | {checked} |"


HEADER: Final = (
    "| folder | mutants | sample | killed | survived | no test | score | 95 % interval | with type checker |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def copy_tree(folder: Path) -> list[str]:
    """Make `folder` a copy of what git knows or does not ignore; return the files that changed since the last copy."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = {name for name in listed if name and (ROOT / name).is_file()}
    index = folder / "copied.json"
    before: list[str] = json.loads(index.read_text()) if index.exists() else []
    gone = sorted(set(before) - files)
    for name in gone:
        (folder / name).unlink(missing_ok=True)
        (folder / "mutants" / name).unlink(missing_ok=True)
    changed = sorted(name for name in files if not _same(ROOT / name, folder / name))
    for name in changed:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)  # with the time of the copy, which mutmut compares
    index.write_text(json.dumps(sorted(files)))
    return gone + changed


def _same(file: Path, copy: Path) -> bool:
    return copy.exists() and file.read_bytes() == copy.read_bytes()


def forget(statistics: Mapping[str, Any], changed: Iterable[str]) -> dict[str, Any] | None:
    """Return mutmut's statistics without the tests of changed files, which it then collects again.

    None if another file changed: then any test may reach other functions than before.
    """
    modules = {name for name in changed if not name.startswith("docs/")}
    if any(not Path(name).name.startswith("test_") for name in modules):
        return None
    kept = {key: value for key, value in statistics["duration_by_test"].items() if key.split("::")[0] not in modules}
    reached = {
        function: [test for test in tests if test in kept]
        for function, tests in statistics["tests_by_mangled_function_name"].items()
    }
    return {**statistics, "duration_by_test": kept, "tests_by_mangled_function_name": reached}


def settings(package: str, tests: Sequence[str], top_level: Sequence[str]) -> str:
    """Return mutmut's `setup.cfg`: what it changes, what it copies beside that, and the tests that it runs."""
    values: dict[str, Sequence[str]] = {
        "source_paths": [package],
        "also_copy": [name for name in top_level if name != package],
        "pytest_add_cli_args_test_selection": [*tests, "-m", "not slow"],
        "pytest_add_cli_args": [*QUIET[1:], "-p", "tests.fixture_readers"],
        "do_not_mutate_patterns": LEFT_OUT,
        "process_isolation": ["forkserver"],  # threads of gRPC and torch do not survive a fork
        "use_git_change_detection": ["false"],
    }
    return "[mutmut]\n" + "".join(
        f"{key} = {value[0]}\n" if len(value) == 1 else f"{key} =\n" + "".join(f"    {item}\n" for item in value)
        for key, value in values.items()
    )


@dataclass(frozen=True, kw_only=True)
class Mutants:
    """The mutants of the working directory."""

    hashes: Mapping[str, str]
    """Mutant -> hash of the function that it changes."""
    tests: Mapping[str, Sequence[str]]
    """Mutant -> the tests that reach its function."""
    all_tests: Sequence[str]
    """The quickest first."""


def generate(workers: int) -> Mutants:
    """Write the mutants of the working directory, and note which tests reach them."""
    tool: Any = importlib.import_module("mutmut.__main__")
    mangled: Any = importlib.import_module("mutmut.utils.format_utils").mangled_name_from_mutant_name
    tool.set_mutant_under_test("mutant_generation")
    tool.copy_src_dir()
    tool.copy_also_copy_files()
    tool.setup_source_paths()
    tool.create_mutants(workers)
    tool.collect_or_load_stats(tool.get_mutant_runner(workers))
    known = json.loads(STATISTICS.read_text())
    seconds: dict[str, float] = known["duration_by_test"]
    reached: dict[str, list[str]] = known["tests_by_mangled_function_name"]
    metas = [json.loads(file.read_text()) for file in Path("mutants").rglob("*.py.meta")]
    hashes = {
        name: meta["hash_by_function_name"].get(mangled(name).rpartition(".")[2], "")
        for meta in metas
        for name in meta["exit_code_by_key"]
    }
    return Mutants(
        hashes=hashes,
        tests={name: in_order(name, reached.get(mangled(name), []), seconds) for name in hashes},
        all_tests=sorted(seconds, key=lambda test: seconds[test]),
    )


def in_order(mutant: str, tests: Collection[str], seconds: Mapping[str, float]) -> list[str]:
    """Return tests in the order to run them: those of the module's own file, of its folder, then the others.

    For `registry.store.transfer.x_send__mutmut_1` these are `test_transfer.py` and `tests/registry/store`. Within each
    the quickest come first.
    """
    *folder, module, _ = mutant.split(".")
    near = f"tests/{'/'.join(folder)}/"
    return sorted(tests, key=lambda test: (f"/test_{module}.py" not in test, near not in test, seconds[test]))


def chosen(names: Iterable[str], *, seed: int, sample: int) -> list[str]:
    """Return a random sample, or all names if `sample` is 0. With the same seed, a larger one begins with a smaller."""
    order = sorted(names, key=lambda name: sha256(f"{seed} {name}".encode()).digest())
    return order[: sample or None]


def run(
    names: Sequence[str], mutants: Mutants, *, most: int | None, workers: int, minutes: float
) -> Iterator[tuple[str, int | None]]:
    """Run the tests of each mutant in a fork of this process; yield their exit codes, None if there are none.

    A function that is called when its module is imported, such as a decorator, is past when the fork begins: then the
    tests, any of them, run in a process of its own. Mutants that are not begun within `minutes` are left out.
    """
    os.chdir("mutants")
    at_import = _imported(mutants.all_tests)
    running: dict[int, str] = {}
    end = time.monotonic() + 60 * minutes
    for name in names:
        if time.monotonic() > end:
            break
        own = name.rpartition("__mutmut_")[0] in at_import
        tests = [*mutants.tests[name], *(mutants.all_tests if own else ())][:most]
        if not tests:
            yield name, None
            continue
        if len(running) == workers:
            yield _ended(running)
        running[_start(name, tests, own_process=own)] = name
    while running:
        yield _ended(running)


def _imported(tests: Iterable[str]) -> set[str]:
    """Import what the forks need, once; return the functions that were called meanwhile."""
    noted: set[str] = importlib.import_module("mutmut.state").state()._stats
    noted.clear()
    os.environ["MUTANT_UNDER_TEST"] = "stats"
    pytest.main(["--collect-only", "-qq", *QUIET, *sorted({test.split("::")[0] for test in tests})])
    os.environ["MUTANT_UNDER_TEST"] = ""
    return set(noted)


def _start(name: str, tests: Sequence[str], *, own_process: bool) -> int:
    child = os.fork()
    if child:
        return child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.environ["MUTANT_UNDER_TEST"] = name
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))  # some mutants never end
    arguments = ["-x", *QUIET, *tests]
    if own_process:
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        os._exit(subprocess.call((sys.executable, "-m", "pytest", *arguments)) & 0xFF)
    os._exit(int(pytest.main(arguments)))


def _ended(running: dict[int, str]) -> tuple[str, int]:
    """Wait for a mutant to end; return its name and exit code."""
    child, status = os.wait()
    return running.pop(child), os.waitstatus_to_exitcode(status)


def score(folder: str, options: argparse.Namespace) -> Score:
    """Try a sample of a folder's mutants; print the difference that each surviving one makes."""
    place = ROOT / ".mutants" / folder
    place.mkdir(parents=True, exist_ok=True)
    changed = copy_tree(place)
    os.chdir(place)
    if changed and STATISTICS.exists():
        kept = forget(json.loads(STATISTICS.read_text()), changed)
        STATISTICS.unlink() if kept is None else STATISTICS.write_text(json.dumps(kept))
    top_level = sorted({name.split("/")[0] for name in json.loads(Path("copied.json").read_text())})
    wanted = settings(folder, options.tests or [f"tests/{folder}"], top_level)
    if not Path("setup.cfg").exists() or Path("setup.cfg").read_text() != wanted:
        shutil.rmtree("mutants", ignore_errors=True)  # mutmut would keep them
        Path("setup.cfg").write_text(wanted)

    mutants = generate(options.workers)
    names = chosen(mutants.hashes, seed=options.seed, sample=options.sample)
    earlier: dict[str, list[Any]] = json.loads(CODES.read_text()) if CODES.exists() else {}
    codes: dict[str, int | None] = {
        name: earlier[name][1]
        for name in names
        if name in earlier and earlier[name][0] == mutants.hashes[name] and killed(earlier[name][1])
    }
    left = [name for name in names if name not in codes]
    codes_file = CODES.absolute()
    for name, code in run(
        left, mutants, most=options.most_tests or None, workers=options.workers, minutes=options.minutes
    ):
        print(f"{time.monotonic():.1f} {name} {code}", flush=True)
        codes[name] = code
        earlier[name] = [mutants.hashes[name], code]
        codes_file.write_text(json.dumps(earlier))  # each at once: the run may be stopped
    os.chdir(place)

    left = [name for name, code in codes.items() if not killed(code)]
    wrong = type_errors({name: _mutated(name) for name in left})
    show: Any = importlib.import_module("mutmut.__main__").show.callback
    for name in left:
        if name not in wrong:
            show(name)
    print(f"Only the type checker reports: {', '.join(sorted(wrong)) or 'none'}")
    return Score(
        folder=folder,
        mutants=len(mutants.hashes),
        killed=sum(killed(code) for code in codes.values()),
        survived=sum(code == 0 for code in codes.values()),
        untested=sum(code is None for code in codes.values()),
        type_errors=len(wrong),
    )


def _mutated(name: str) -> tuple[Path, str]:
    """Return the module that a mutant changes, in the working directory, and its text with the change."""
    tools: Any = importlib.import_module("mutmut.mutation.diff_apply")
    file = Path(tools.find_mutant(name).path)
    original, times = file.read_bytes(), file.stat()
    try:
        tools.apply_mutant(name)
        return file, file.read_text()
    finally:
        file.write_bytes(original)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # mutmut compares it


def type_errors(texts: Mapping[str, tuple[Path, str]]) -> set[str]:
    """Return the names whose text has type errors that the original module does not have."""
    files: dict[str, Path] = {}
    originals = {file: file.with_name(f"{file.stem}_original.py") for file, _ in texts.values()}
    try:
        for file, original in originals.items():
            shutil.copy(file, original)
        for number, (name, (file, text)) in enumerate(texts.items()):
            files[name] = file.with_name(f"{file.stem}_mutant_{number}.py")
            files[name].write_text(text)
        found = _errors([*originals.values(), *files.values()])
    finally:
        for made in (*originals.values(), *files.values()):
            made.unlink(missing_ok=True)
    return {name for name, (file, _) in texts.items() if found[files[name]] > found[originals[file]]}


def _errors(files: Sequence[Path]) -> Counter[Path]:
    """Return how many errors `make check` would report of each file; a report of what is unused is not one of types."""
    if not files:
        return Counter()
    command = (sys.executable, "-m", "basedpyright", "--level", "error", "--outputjson")
    command += ("--pythonpath", sys.executable, *map(str, files))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}  # that of mutmut's libraries
    answer = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    reported = json.loads(answer.stdout)["generalDiagnostics"]
    return Counter(
        Path(each["file"]).relative_to(Path.cwd()) for each in reported if not each["rule"].startswith("reportUnused")
    )


def killed(code: int | None) -> bool:
    """Whether tests failed by exit code `code`; None if there were none."""
    return code not in {0, None}


def _score_apart(folder: str, options: argparse.Namespace) -> Score:
    """As `score`, in a child process: mutmut and the tests are imported from the folder's copy."""
    child = os.fork()
    result = ROOT / ".mutants" / f"{folder}.json"
    if not child:
        result.write_text(json.dumps(asdict(score(folder, options))))
        sys.stdout.flush()
        os._exit(0)
    result.unlink(missing_ok=True)
    os.waitpid(child, 0)
    if not result.exists():
        sys.exit(f"mutants: the tests of {folder} do not pass, or mutmut failed; see above")
    return Score(**json.loads(result.read_text()))


def main() -> None:
    """Print the score of each folder, and the difference that each surviving mutant makes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="packages whose functions are changed")
    parser.add_argument("--tests", nargs="*", help="tests to run; by default those in tests/FOLDER")
    parser.add_argument("--sample", type=int, default=300, help="mutants to try; 0 for all")
    parser.add_argument("--seed", type=int, default=16, help="seed of the sample")
    parser.add_argument("--most-tests", type=int, default=200, help="tests to run per mutant; 0 for all")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="start no mutant after this time; the next run resumes"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()
    scores = [_score_apart(folder, options) for folder in options.folders]
    print(HEADER, *(each.row() for each in scores), sep="\n")
    print(f"Seed {options.seed}; at most {options.most_tests or 'all'} tests of each mutant.")


if __name__ == "__main__":
    sys.exit(main())
