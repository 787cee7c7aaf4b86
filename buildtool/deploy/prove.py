"""Proves that an Ollama really uses a runner: it lists the device, a model answers, and lies on the GPU."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from buildtool.deploy.listing import Listing, kept, list_devices
from buildtool.deploy.model import Installation, Runner
from buildtool.deploy.server import Server
from buildtool.deploy.site import Site
from buildtool.errors import VerificationError

GENERATE_S = 600.0


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, a sentence each, and whether the whole way to tokens on the GPU was gone."""

    lines: tuple[str, ...]
    whole: bool


def listed(
    site: Site, one: Installation, runner: Runner, target: str, env: Mapping[str, str], more: tuple[str, ...] = ()
) -> tuple[str, Listing]:
    """Let the installation's own llama-server load a runner, and say which device it finds.

    Args:
        site: the machine.
        one: the installation.
        runner: the folder; it need not stand in its place yet.
        target: the device that shall be found, "" for any.
        env: variables of the service.
        more: further folders with libraries.

    Raises:
        VerificationError: it does not load, sees no device, or Ollama's rules would drop it.
        ProcessError: llama-server crashed or hung.
    """
    server = site.path(site.join(one.libraries, "llama-server" + (".exe" if site.system == "windows" else "")))
    folders = (site.path(one.libraries), site.path(runner.path), *map(site.path, more))
    module = site.path(site.join(runner.path, runner.module))
    found = list_devices(server, folders, module, env, site.system)
    mine = [device for device in found.devices if device.library == runner.library]
    if not mine:
        broken = next((line for line in found.tail if "failed to load" in line), "")
        lists_none = f"loads {runner.module} and lists no {runner.library} device"
        what = f"llama-server {f'cannot load {runner.module}' if broken else lists_none}."
        hint = "gpubuild doctor looks for what the driver lacks."
        raise VerificationError(what, why=broken.rpartition(": failed to load ")[2], hint=hint, details=found.tail)
    left = kept(found, runner.rocblas, env, site.system)
    good = [device for device in mine if not left[device.name] and _is(device.compute, target)]
    if not good:
        reasons = tuple(f"{device.description}: {left[device.name] or 'another device'}" for device in mine)
        what = f"Ollama's rules leave out every device that {runner.name} lists."
        raise VerificationError(what, details=reasons)
    device = good[0]
    return f"{runner.name}: llama-server lists {device.name}, {device.description}, {device.total_mib} MiB", found


def _is(compute: str, target: str) -> bool:
    """Whether what a listing says of a device fits a target; where it says nothing, it does."""
    if not compute or not target:
        return True
    return compute == target.partition(":")[0] or f"sm_{compute.replace('.', '')}" == target.rstrip("af")


def answered(server: Server, model: str) -> tuple[str, ...]:
    """Let a model write a few tokens, and require that it lies on the GPU.

    Args:
        server: the running Ollama.
        model: its name, "" for the smallest one that is installed.

    Returns:
        What was seen; nothing when no model is installed.

    Raises:
        VerificationError: no answer, or all of it on the CPU.
    """
    name = model or next((one.name for one in server.models()), "")
    if not name:
        return ()
    text = server.generate(name, GENERATE_S)
    loaded = next((one for one in server.loaded() if one.name in {name, f"{name}:latest"}), None)
    if loaded is None:
        what = f"The model {name} answered, but /api/ps does not list it."
        raise VerificationError(what)
    if not loaded.size_vram:
        what = f"The model {name} answered from the CPU: none of its {loaded.size} bytes lie on a GPU."
        raise VerificationError(what, hint="gpubuild ollama status shows what discovery said.")
    shown = " ".join(text.split())[:40]
    share = 100 * loaded.size_vram // max(loaded.size, 1)
    return (f"{name} answers: {shown!r}", f"/api/ps: {loaded.size_vram} of {loaded.size} bytes on the GPU ({share} %)")
