"""The whole operation as a script: for people who must read it before it runs, in bash or PowerShell."""

from __future__ import annotations

from buildtool.deploy import watch
from buildtool.deploy.enable import Plan, Wish
from buildtool.deploy.manager import Manager, drop_in, drop_in_text
from buildtool.deploy.model import Installation
from buildtool.deploy.server import Server
from buildtool.deploy.service import systemctl
from buildtool.deploy.site import Site
from buildtool.deploy.stage import OURS, base_name
from buildtool.errors import IncompatibleError
from buildtool.shell import command_line, quote

BACK = "Out again: {command}"
TASK = "gpubuild-ollama"


def script(site: Site, one: Installation, chosen: Plan, wish: Wish, system: str) -> str:
    """Return the script for the way that was chosen.

    Raises:
        IncompatibleError: the way is one that only gpubuild itself can go.
    """
    way = chosen.chosen
    if way.method in {"compile", "vulkan"}:
        what = f"The way {way.method} is a build: gpubuild prints no script for it."
        raise IncompatibleError(what, hint="Look at each step: gpubuild compile, then gpubuild ollama enable --from.")
    write = _powershell if system == "windows" else _bash
    return write(site, one, chosen, wish)


def _head(one: Installation, chosen: Plan) -> str:
    method = chosen.chosen.method
    words = f"gpubuild: let Ollama in {one.prefix} use {chosen.device} ({chosen.target}), by {method}."
    return " ".join(words.split())  # a comment of one line, whatever a recorded machine calls its card


def _name(chosen: Plan) -> str:
    return f"{base_name(chosen.chosen.donor)}{OURS}_{chosen.target.partition(':')[0]}"


def _bash(site: Site, one: Installation, chosen: Plan, wish: Wish) -> str:
    way, manager = chosen.chosen, Manager(service=one.service)
    sudo = "" if one.service.manager == "systemd-user" or one.may_write else "sudo "
    undo: list[str] = []
    lines = ["#!/bin/bash", f"# {_head(one, chosen)}", "set -euo pipefail", ""]
    if way.method == "retarget":
        final = site.join(one.libraries, _name(chosen))
        donor = site.join(one.libraries, way.donor)
        lines += [
            "# 1. A copy of Ollama's own runner whose device code bears the card's name.",
            "new=$(mktemp -d)",
            "trap 'rm -rf \"$new\"' EXIT",
            command_line(("gpubuild", "retarget", donor, "--from", way.chip, "--to", chosen.target, "--thin", "--out"))
            + ' "$new/runner"',
            "",
            "# 2. Into its place, by one rename.",
            f"{sudo}test ! -e {quote(final)}",
            f'{sudo}cp -a "$new/runner" {quote(site.join(one.libraries, "..", ".gpubuild-new"))}',
            f"{sudo}mv {quote(site.join(one.libraries, '..', '.gpubuild-new'))} {quote(final)}",
        ]
        undo.append(f"{sudo}rm -r {quote(final)}")
    if way.env:
        file, there = drop_in(site, one.service)
        text = drop_in_text(way.env, f"{chosen.device} ({chosen.target})").decode()
        lines += ["# Variables for the service.", f"{sudo}mkdir -p {quote(str(file.parent))}",
                  f"{sudo}tee {quote(str(file))} >/dev/null <<'EOF'", text.rstrip(), "EOF"]  # fmt: skip
        undo.append(f"{sudo}rm {quote(str(file))}" + ("" if there else f" && {sudo}rmdir {quote(str(file.parent))}"))
    restart = [f"{sudo}{command_line(argv)}" for argv in manager.commands]
    if wish.watch and way.method == "retarget":
        lines += _watcher(site, one, chosen, sudo)
        undo.append(f"{sudo}{command_line(systemctl(one.service.manager, 'disable', '--now', watch.PATH_UNIT))}")
    lines += ["", "# The server starts anew; then a model has to answer from the GPU.", *restart]
    lines += _proof(Server.of({**one.service.environment, **way.env}), wish) if restart else [f"# {manager.by_hand}"]
    return "\n".join([*lines, "", *(f"# {BACK.format(command=one_line)}" for one_line in (*undo, *restart)), ""])


def _watcher(site: Site, one: Installation, chosen: Plan, sudo: str) -> list[str]:
    """Return the lines that write systemd's watcher: nothing of gpubuild's record is there for `reapply` to read.

    Raises:
        ServiceError: nothing here can watch.
    """
    watch.require_systemd(site, one.service)
    final, folder = site.join(one.libraries, _name(chosen)), watch.folder_of(site, one.service)
    start = watch.line_of(_again(one, chosen))
    texts = {watch.PATH_UNIT: watch.path_unit(one.program), watch.SERVICE_UNIT: watch.service_unit(start, final)}
    lines = ["", "# An upgrade of Ollama removes the runner: systemd puts it back (gpubuild has to be on its PATH)."]
    for name, text in texts.items():
        own = text.replace(watch.HEAD, "# Written by a script of gpubuild ollama enable --watch.").rstrip()
        lines += [f"{sudo}tee {quote(site.join(folder, name))} >/dev/null <<'EOF'", own, "EOF"]
    manager = one.service.manager
    words = (systemctl(manager, "daemon-reload"), systemctl(manager, "enable", "--now", watch.PATH_UNIT))
    return [*lines, *(f"{sudo}{command_line(argv)}" for argv in words)]


def _again(one: Installation, chosen: Plan) -> tuple[str, ...]:
    """Return the command that puts the same runner into place when it is gone."""
    words = ("--prefix", one.prefix, "--for-device", chosen.target, "--method", chosen.chosen.method)
    return ("gpubuild", "ollama", "enable", *words, "--yes", "--now")


def _proof(server: Server, wish: Wish) -> list[str]:
    first = """$(curl -fsS "$api/api/tags" | grep -o '"name": *"[^"]*"' | head -1 | cut -d'"' -f4)"""
    model = wish.model or first
    return [
        f"api=http://{server.words}",
        'for _ in $(seq 60); do curl -fsS "$api/api/version" >/dev/null 2>&1 && break; sleep 1; done',
        f"model={model}",
        """body=$(printf '{"model": "%s", "prompt": "Hi", "stream": false}' "$model")""",
        'curl -fsS "$api/api/generate" -d "$body"; echo',
        'curl -fsS "$api/api/ps"; echo   # size_vram says how much of it lies on the GPU',
    ]


def _powershell(site: Site, one: Installation, chosen: Plan, wish: Wish) -> str:
    way = chosen.chosen
    if way.env:
        what = "Variables of the tray app are yours to set: gpubuild prints no script for it."
        pairs = "; ".join(f"setx {name} {value}" for name, value in way.env.items())
        raise IncompatibleError(what, hint=pairs)
    final, donor = site.join(one.libraries, _name(chosen)), site.join(one.libraries, way.donor)
    retarget = ("gpubuild", "retarget", donor, "--from", way.chip, "--to", chosen.target, "--thin", "--out")
    api = f"http://{Server.of(one.service.environment).words}"
    app = site.join(one.prefix, "ollama app.exe")
    return "\n".join([
        f"# {_head(one, chosen)}",
        "# Nobody has run this on Windows yet: read it before you do.",
        "$ErrorActionPreference = 'Stop'",
        f"$final = {_literal(final)}",
        'if (Test-Path -LiteralPath $final) { throw "$final is there already" }',
        "",
        "# 1. A copy of Ollama's own runner whose device code bears the card's name.",
        "$new = Join-Path ([IO.Path]::GetTempPath()) ([IO.Path]::GetRandomFileName())",
        f"& {command_line(retarget, 'windows')} $new",
        "if ($LASTEXITCODE -ne 0) { throw 'gpubuild retarget failed' }",
        "",
        "# 2. Into its place, then the tray app starts anew.",
        "Move-Item -LiteralPath $new -Destination $final",
        "Get-Process 'ollama app', 'ollama' -ErrorAction SilentlyContinue | Stop-Process -Force",
        f"Start-Process -FilePath {quote(app, 'windows')}",
        "",
        "# 3. It has to answer; /api/ps says how much of a model lies on the GPU.",
        f"$api = {_literal(api)}",
        "foreach ($try in 1..60) {",
        '    try { Invoke-RestMethod "$api/api/version" | Out-Null; break } catch { Start-Sleep -Seconds 1 }',
        "}",
        'Invoke-RestMethod "$api/api/ps" | ConvertTo-Json',
        "",
        *(_task(one, chosen) if wish.watch else ()),
        "# Out again: quit Ollama in the tray, then: Remove-Item -Recurse -LiteralPath " + quote(final, "windows"),
        *([f"# and: Unregister-ScheduledTask -TaskName {TASK}"] if wish.watch else ()),
        "",
    ])  # fmt: skip


def _task(one: Installation, chosen: Plan) -> list[str]:
    """Return the lines that register a scheduled task of this user, which looks again at each logon and each hour.

    The command does nothing where the card is used already, so it may run as often as it likes.
    """
    words = f'ollama enable --prefix "{one.prefix}" --for-device {chosen.target} --yes --now'
    return [
        "# 4. An upgrade of Ollama removes the runner: a task of yours puts it back, for Ollama's next start.",
        "$gpubuild = (Get-Command gpubuild).Source",
        f"$action = New-ScheduledTaskAction -Execute $gpubuild -Argument {_literal(words)}",
        "$logon = New-ScheduledTaskTrigger -AtLogOn -User ([Security.Principal.WindowsIdentity]::GetCurrent().Name)",
        "$hourly = New-ScheduledTaskTrigger -Once -At (Get-Date) -RepetitionInterval (New-TimeSpan -Hours 1)",
        f"Register-ScheduledTask -TaskName {TASK} -Action $action -Trigger $logon, $hourly -Force | Out-Null",
        "",
    ]


def _literal(text: str) -> str:
    """Return a string of PowerShell; a bare word after ``=`` would be a command."""
    return "'" + text.replace("'", "''") + "'"
