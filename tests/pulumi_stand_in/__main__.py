"""The stand-in as a command."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests import pulumi_stand_in
from tests.pulumi_stand_in import operations, settings
from tests.pulumi_stand_in.backend import Backend, CommandFailed, Project, unlock
from tests.pulumi_stand_in.options import UsageError, parse

_FAILED = 1
_UNSURE = 2
_SECRET = "[secret]"


def main(words: list[str]) -> int:
    """Record the call, then do it."""
    record = os.environ.get(pulumi_stand_in.RECORD)
    if record:
        entry = {"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        with Path(record).open("a") as file:
            file.write(json.dumps(entry) + "\n")
    try:
        command, given = parse(words)
        if os.environ.get(pulumi_stand_in.PARSE):
            return 0
        if given.cwd:
            os.chdir(given.cwd)
        if command in ("preview", "up", "refresh", "destroy"):
            return _operate(command, given)
        _COMMANDS.get(command, _not_played(command))(given)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return _FAILED
    except CommandFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    return 0


def _operate(command: Any, given: Namespace) -> int:
    sure = command == "preview" or given.yes or getattr(given, "preview_only", False)
    if not sure and (given.non_interactive or not sys.stdin.isatty()):
        raise CommandFailed(
            "--yes or --skip-preview or --preview-only must be passed in to proceed when running in "
            "non-interactive mode",
            _UNSURE,
        )
    return operations.run(command, _stack(given), given)


def _stack(given: Namespace) -> str:
    """The stack that a command acts on; its name may carry organization and project."""
    named = given.stack or Backend().selected(Project.here())
    if not named:
        raise CommandFailed("no stack selected; please use `pulumi stack select` or `pulumi stack init` to choose one")
    return named.rpartition("/")[2]


def _version(_given: Namespace) -> None:
    print(os.environ.get(pulumi_stand_in.VERSION, "v3.274.0"))


def _whoami(given: Namespace) -> None:
    backend = Backend()
    url = backend.url
    if given.json:
        print(json.dumps({"user": backend.user, "url": url}, indent=2))
    elif given.verbose:
        print(f"User: {backend.user}\nOrganizations: \nBackend URL: {url}\nToken type: personal")
    else:
        print(backend.user)


def _login(given: Namespace) -> None:
    url = given.url or given.cloud_url or ("file://~" if given.local else "https://api.pulumi.com")
    backend = Backend()
    backend.login(url)
    print(f"Logged in to {os.uname().nodename} as {backend.user} ({url})")


def _logout(_given: Namespace) -> None:
    backend = Backend()
    url = backend.url
    backend.logout()
    print(f"Logged out of {url}")


def _stack_init(given: Namespace) -> None:
    backend, project = Backend(), Project.here()
    name = (given.name or given.stack or "").rpartition("/")[2]
    if not name:
        raise CommandFailed("missing stack name")
    backend.create(project, name)
    if not given.no_select:
        backend.select(project, name)
    print(f"Created stack '{name}'")


def _stack_select(given: Namespace) -> None:
    backend, project = Backend(), Project.here()
    name = (given.name or given.stack or "").rpartition("/")[2]
    if given.create and name not in backend.stacks(project):
        backend.create(project, name)
    backend.read(project, name)
    backend.select(project, name)


def _stack_unselect(_given: Namespace) -> None:
    Backend().select(Project.here(), None)
    print("Stack was unselected")


def _stack_ls(given: Namespace) -> None:
    backend, project = Backend(), Project.here()
    selected = backend.selected(project)
    names = backend.stacks(project)
    counts = {name: len(backend.read(project, name)["resources"]) for name in names}
    if given.json:
        listed = [{"name": name, "current": name == selected, "resourceCount": counts[name]} for name in names]
        print(json.dumps(listed, indent=2))
        return
    print("NAME  LAST UPDATE  RESOURCE COUNT")
    for name in names:
        print(f"{name}{'*' if name == selected else ''}  n/a  {counts[name]}")


def _stack_output(given: Namespace) -> None:
    backend, project = Backend(), Project.here()
    recorded = backend.read(project, _stack(given))
    outputs: dict[str, Any] = {
        name: _SECRET if name in recorded["secrets"] and not given.show_secrets else value
        for name, value in recorded["outputs"].items()
    }
    if given.name:
        if given.name not in outputs:
            raise CommandFailed(f"current stack does not have output property '{given.name}'")
        value = outputs[given.name]
        print(value if isinstance(value, str) and not given.json else json.dumps(value))
    elif given.json:
        print(json.dumps(outputs, indent=2))
    else:
        print(f"Current stack outputs ({len(outputs)}):")
        for name, value in outputs.items():
            print(f"    {name}  {value if isinstance(value, str) else json.dumps(value)}")


def _stack_export(given: Namespace) -> None:
    resources = Backend().read(Project.here(), _stack(given))["resources"]
    text = json.dumps({"version": 3, "deployment": {"manifest": {}, "resources": resources}}, indent=4)
    if given.file:
        Path(given.file).write_text(text)
    else:
        print(text)


def _stack_history(given: Namespace) -> None:
    history: list[Any] = Backend().read(Project.here(), _stack(given))["history"]
    print(json.dumps(history[: int(given.page_size or 10)], indent=2))


def _stack_rm(given: Namespace) -> None:
    backend, project = Backend(), Project.here()
    name = (given.name or _stack(given)).rpartition("/")[2]
    if not given.yes:
        raise CommandFailed("non-interactive mode requires --yes flag")
    if backend.read(project, name)["resources"] and not given.force:
        raise CommandFailed(f"'{name}' still has resources; removal rejected; pass --force to override")
    backend.remove(project, name)
    if not given.preserve_config:
        project.settings(name).unlink(missing_ok=True)
    print(f"Stack '{name}' has been removed!")


def _stack_show(given: Namespace) -> None:
    backend, project = Backend(), Project.here()
    name = _stack(given)
    if given.show_name:
        print(name)
        return
    resources = backend.read(project, name)["resources"]
    print(f"Current stack is {name}:\nCurrent stack resources ({len(resources)}):")
    for resource in resources:
        print(f"    {resource['type']}  {resource['urn'].rpartition('::')[2]}")


def _cancel(given: Namespace) -> None:
    backend, project = Backend(), Project.here()
    stack = given.name or _stack(given)
    backend.lock(project, stack).unlink(missing_ok=True)
    print(f"The currently running update for '{stack}' has been canceled!")


# --- settings -------------------------------------------------------------------------------------------------------


def _settings(given: Namespace) -> Path:
    return Path(given.config_file) if given.config_file else Project.here().settings(_stack(given))


def _full(key: str) -> str:
    return key if ":" in key else f"{Project.here().name}:{key}"


def _config(given: Namespace) -> None:
    found: Mapping[str, Any] = (yaml.safe_load(_settings(given).read_text()) or {}).get("config", {})
    if given.json:
        print(json.dumps({key: {"value": _text(value), "secret": False} for key, value in found.items()}, indent=2))
        return
    print("KEY  VALUE")
    for key, value in found.items():
        print(f"{key.removeprefix(Project.here().name + ':')}  {_text(value)}")


def _config_get(given: Namespace) -> None:
    found: Mapping[str, Any] = (yaml.safe_load(_settings(given).read_text()) or {}).get("config", {})
    key = _full(given.key)
    if key not in found:
        raise CommandFailed(f"configuration key '{given.key}' not found for stack '{_stack(given)}'")
    print(_text(found[key]))


def _config_set(given: Namespace) -> None:
    value = given.value if given.value is not None else sys.stdin.read().rstrip("\n")
    if given.secret or given.path:
        raise CommandFailed("the stand-in encrypts nothing, and sets no part of a value")
    _edit(given, lambda text: settings.with_values(text, {_full(given.key): value}))


def _config_set_all(given: Namespace) -> None:
    values = {_full(key): value for key, _, value in (pair.partition("=") for pair in given.plaintext)}
    _edit(given, lambda text: settings.with_values(text, values))


def _config_rm(given: Namespace) -> None:
    _edit(given, lambda text: settings.without(text, _full(given.key)))


def _edit(given: Namespace, change: Callable[[str], str]) -> None:
    file = _settings(given)
    file.write_text(change(file.read_text() if file.exists() else ""))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (dict, list)) else str(value)


def _about(_given: Namespace) -> None:
    print(f"CLI\nVersion  {os.environ.get(pulumi_stand_in.VERSION, 'v3.274.0').removeprefix('v')}")


def _nothing(_given: Namespace) -> None:
    pass


def _not_played(command: str) -> Callable[[Namespace], None]:
    def refuse(_given: Namespace) -> None:
        raise CommandFailed(f"the stand-in parses `pulumi {command}` and cannot do it")

    return refuse


def _change_secrets_provider(given: Namespace) -> None:
    unlock(Project.here().settings(_stack(given)))


_COMMANDS: Final[Mapping[str, Callable[[Namespace], None]]] = {
    "about": _about,
    "cancel": _cancel,
    "config": _config,
    "config get": _config_get,
    "config rm": _config_rm,
    "config set": _config_set,
    "config set-all": _config_set_all,
    "install": _nothing,
    "login": _login,
    "logout": _logout,
    "plugin install": _nothing,
    "plugin ls": _nothing,
    "stack": _stack_show,
    "stack change-secrets-provider": _change_secrets_provider,
    "stack export": _stack_export,
    "stack history": _stack_history,
    "stack init": _stack_init,
    "stack ls": _stack_ls,
    "stack output": _stack_output,
    "stack rm": _stack_rm,
    "stack select": _stack_select,
    "stack unselect": _stack_unselect,
    "version": _version,
    "whoami": _whoami,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
