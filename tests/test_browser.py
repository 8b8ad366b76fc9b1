"""How a machine gets the browser that tests of pages need."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from tests.browser import install, ways_to_install

PLAYWRIGHT = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'
DEBIAN = 'NAME="Debian GNU/Linux"\nID=debian\n'


def test_without_root_playwright_downloads_its_own_build():
    assert ways_to_install(root=False, os_release=DEBIAN) == [[PLAYWRIGHT]]


def test_root_on_debian_installs_its_package_and_else_playwrights_build_with_libraries():
    package, own = ways_to_install(root=True, os_release=DEBIAN)
    assert [command[0] for command in package] == ["apt-get", "apt-get"]
    assert "update" in package[0]
    assert package[1][-1] == "chromium"
    assert own == [[*PLAYWRIGHT, "--with-deps"]]


@pytest.mark.parametrize("os_release", [UBUNTU, 'ID="amzn"\n', ""])
def test_root_elsewhere_takes_playwrights_build_because_ubuntus_package_needs_snap(os_release):
    assert ways_to_install(root=True, os_release=os_release) == [[[*PLAYWRIGHT, "--with-deps"]]]


class Machine:
    """A machine where `working` commands succeed and a browser starts after one of `enough`."""

    def __init__(self, working: str, enough: str) -> None:
        self.working, self.enough = working, enough
        self.ran: list[str] = []

    def run(self, command: Sequence[str]) -> bool:
        self.ran.append(command[0])
        return command[0] in self.working

    def starts(self) -> str:
        return "" if set(self.ran) & set(self.enough) & set(self.working) else "no browser"


@pytest.mark.parametrize(
    ("working", "enough", "ran", "why"),
    [
        ("ab", "b", ["a", "b"], ""),  # the first way is enough
        ("bc", "c", ["a", "c"], ""),  # its first command fails: its second does not run
        ("abc", "c", ["a", "b", "c"], ""),  # what it installed does not start
        ("", "c", ["a", "c"], "no browser"),
    ],
)
def test_the_next_way_is_tried_when_a_command_fails_or_the_browser_does_not_start(working, enough, ran, why):
    machine = Machine(working, enough)
    assert install([[["a"], ["b"]], [["c"]]], machine.run, machine.starts) == why
    assert machine.ran == ran


def test_where_a_browser_starts_nothing_is_installed():
    assert install([[["a"]]], lambda command: pytest.fail(str(command)), lambda: "") == ""
