"""How a command starts: what it need not import it does not, and what a listing says is what the command says."""

import subprocess
import sys

import pytest
from typer.main import get_command

from petpark.__main__ import Program, app

HEAVY = {
    "boto3",
    "botocore",
    "awscrt",
    "httpx",
    "numpy",
    "pulumi",
    "pulumi_aws",
    "yaml",
    "PIL",
    "cryptography",
    "torch",
}
"""Each of them takes longer to import than `petpark --help` takes."""

PROBE = """
import sys
sys.argv = ["petpark", *sys.argv[1:]]
from petpark.__main__ import main
try:
    main()
except SystemExit:
    pass
print("\\n" + " ".join({name.partition(".")[0] for name in sys.modules}))
"""
COMPLETING = {"_PETPARK_COMPLETE": "complete_bash", "COMP_CWORD": "1"}


def imported(tmp_path, *words: str, **environment: str) -> set[str]:
    """The packages that a process of its own has imported when the command ends, in a folder without a project."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return set(ended.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("models", "--help"),
        ("models", "list", "--help"),
        ("models", "list", "--target", "rehearsal"),  # there is none: that is answered without a library of AWS's
        ("promote", "--help"),
        ("rollback", "--help"),
        ("jobs", "--help"),
        ("data", "--help"),
        ("keys", "list", "--target", "rehearsal"),
    ],
    ids=" ".join,
)
def test_a_command_starts_without_what_it_need_not_import(tmp_path, words):
    found = imported(tmp_path, *words)
    assert "petpark" in found
    assert not {name for name in HEAVY - {"botocore"} if name in found}


def test_help_and_completion_load_no_command_and_none_of_aws(tmp_path):
    for words, environment in ((("--help",), {}), ((), {**COMPLETING, "COMP_WORDS": "petpark mod"})):
        assert not HEAVY & imported(tmp_path, *words, **environment)


@pytest.mark.parametrize("name", Program.table)
def test_what_the_listing_says_of_a_command_is_what_the_command_says(name):
    program = get_command(app)
    assert isinstance(program, Program)
    command = program.commands[name]
    said = " ".join((command.help or "").split("\n\n")[0].split())
    assert Program.table[name].help == said
    assert command.name == name


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(run):
    said = run("modles", "list")
    assert said.exit_code == 2
    assert "Did you mean 'models'" in said.stderr
