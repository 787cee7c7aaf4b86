"""The ways to a device, what is staged for them, and what llama-server and the server say."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import msgspec
import ollama_trees as trees
import pytest
from codeobj_samples import library
from typer.testing import CliRunner

from buildtool.cli.main import app
from buildtool.cli.ollama_change import _source_again as source_again
from buildtool.cli.ollama_work import Asker
from buildtool.codeobj.model import Inspection
from buildtool.compat.targets import parse_target
from buildtool.deploy import enable as room
from buildtool.deploy import stage, ways
from buildtool.deploy.disk import digest
from buildtool.deploy.enable import Wish, plan
from buildtool.deploy.enable import _loader_words as loader_words
from buildtool.deploy.find import find
from buildtool.deploy.install import Hands
from buildtool.deploy.journal import Record
from buildtool.deploy.listing import kept, parse_listing
from buildtool.deploy.model import Installation
from buildtool.deploy.order import Order
from buildtool.deploy.server import Server
from buildtool.deploy.site import Site, copied
from buildtool.deploy.status import status
from buildtool.deploy.transaction import Change, Transactions
from buildtool.deploy.waiting import leave, pick_up
from buildtool.errors import (
    GpubuildError,
    IncompatibleError,
    IntegrityError,
    InvalidInputError,
    MissingToolError,
    UnsafeArchiveError,
    VerificationError,
)
from buildtool.probe.model import Device, Host, HostCompiler, Libc, OperatingSystem
from buildtool.store.progress import Silent

# --- the ways -------------------------------------------------------------------------------------------------------

GLIBC = Libc(name="glibc", version="2.36")
GCC = HostCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc")
LINUX = OperatingSystem(system="linux", machine="x86_64", id="debian", version="13", name="Debian", kernel="6.12")


def found_ways(
    root: Path, device: Device, *others: Device, built: bool = False, source: str = ""
) -> dict[str, ways.Way]:
    one = only(root, device)
    (target, *_) = parse_target(device.target or "")
    host = Host(os=LINUX, devices=(device, *others), host_compilers=(GCC,), libc=GLIBC)
    return {way.method: way for way in ways.ways(one, one.verdicts[0], target, host, built=built, source=source)}


def only(root: Path, *devices: Device) -> Installation:
    (found,) = status(copied(root), devices).installations
    return found


def test_an_rx_6600_in_a_machine_with_another_card_is_retargeted(tmp_path: Path) -> None:
    found = found_ways(trees.linux(tmp_path), trees.RX6600, trees.RX6800)
    assert found["override"].state == "no"
    assert "would hold for gfx1030" in found["override"].reason
    assert (found["retarget"].state, found["retarget"].donor, found["retarget"].chip) == ("yes", "rocm_v7_2", "gfx1030")
    assert ways.choose(tuple(found.values()), "auto").method == "retarget"


def test_code_for_the_card_itself_and_the_override_never_meet(tmp_path: Path) -> None:
    trees.linux(tmp_path)
    trees.write(
        tmp_path / "etc/systemd/system/ollama.service.d/mine.conf",
        "[Service]\nEnvironment=HSA_OVERRIDE_GFX_VERSION=11.0.0\n",
    )
    assert "never together" in found_ways(tmp_path, trees.RX6600)["retarget"].reason


def test_a_card_that_is_used_needs_nothing(tmp_path: Path) -> None:
    assert ways.choose(tuple(found_ways(trees.linux(tmp_path), trees.H100).values()), "auto").method == "served"


@pytest.mark.parametrize("make", [trees.old, lambda root: trees.linux(root, prefix="snap/ollama/current", unit="")])
def test_where_no_folder_can_be_added_it_is_said_why(tmp_path: Path, make: object) -> None:
    make(tmp_path)  # type: ignore[operator]
    found = found_ways(tmp_path, trees.RX6600, built=True)
    assert {found[name].state for name in ("retarget", "compile", "vulkan")} == {"no"}
    with pytest.raises(IncompatibleError):
        ways.choose(tuple(found.values()), "retarget")


def test_a_way_that_is_not_on_the_ladder_says_what_it_is_for(tmp_path: Path) -> None:
    found = tuple(found_ways(trees.linux(tmp_path), trees.RTX3060).values())
    for method, words in (("igpu", "not part of the processor"), ("retarget", "for AMD cards")):
        with pytest.raises(IncompatibleError) as caught:
            ways.choose(found, method)
        assert words in caught.value.why


def test_an_override_without_a_service_is_told_not_done(tmp_path: Path) -> None:
    found = found_ways(trees.linux(tmp_path, unit=""), trees.RX6600)
    assert found["override"].state == "first"
    assert "HSA_OVERRIDE_GFX_VERSION=10.3.0" in found["override"].hint


def packaged(root: Path, version: str) -> Path:
    """An Ollama of the distribution, which tells its version; nothing there can be run."""
    trees.linux(root, prefix="usr", unit="")
    trees.write(root / f"var/lib/pacman/local/ollama-{version}-1/files", "%FILES%\nusr/bin/ollama\n")
    return root


def test_a_build_is_made_of_the_llama_cpp_that_this_ollama_runs(tmp_path: Path) -> None:
    found = found_ways(packaged(tmp_path, "0.35.0"), trees.RTX3060)["compile"]
    assert (found.state, found.source) == ("yes", "https://github.com/ggml-org/llama.cpp#b11081")


def test_where_no_pin_is_known_the_source_has_to_be_named(tmp_path: Path) -> None:
    found = found_ways(packaged(tmp_path, "0.99.0"), trees.RTX3060)
    assert (found["compile"].state, found["compile"].source) == ("no", "")
    assert "--source PATH" in found["compile"].hint
    named = found_ways(tmp_path, trees.RTX3060, source="llama-cpp-python-0.3.36")["compile"]
    assert (named.state, named.source) == ("yes", "llama-cpp-python-0.3.36")
    assert "the source that you named (llama.cpp of this Ollama: not known)" in named.reason


def test_whoever_names_a_source_means_a_build(tmp_path: Path) -> None:
    one = only(packaged(tmp_path, "0.99.0"), trees.RX6600)
    host = Host(os=LINUX, devices=(trees.RX6600,), host_compilers=(GCC,), libc=GLIBC)
    # Not the override or Ollama's own runner, which come first and hold; that the build itself needs a ROCm is said.
    with pytest.raises(IncompatibleError, match="build a runner for exactly this card"):
        plan(one, trees.RX6600, host, Wish(source="llama-cpp-python-0.3.36"))
    with pytest.raises(InvalidInputError, match="builds nothing"):
        plan(one, trees.RX6600, host, Wish(method="retarget", source="llama-cpp-python-0.3.36"))


def test_of_two_installations_one_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.linux(tmp_path)
    trees.linux(tmp_path, prefix="opt/ollama", unit="")
    monkeypatch.setenv("GPUBUILD_DEVICES", "gfx1032")
    monkeypatch.setattr("buildtool.cli.ollama_change.this_site", lambda: copied(tmp_path))
    for command in (["enable", "--yes"], ["enable", "--dry-run"], ["restore"], ["reapply", "--now"]):
        refused = CliRunner().invoke(app, ["ollama", *command]).exception
        assert isinstance(refused, InvalidInputError), command
        assert "2 installations" in refused.what
        assert [line.partition("  ")[0] for line in refused.details] == ["--prefix /usr/local", "--prefix /opt/ollama"]
    before = sorted(tmp_path.rglob("*"))
    shown = CliRunner().invoke(app, ["ollama", "enable", "--dry-run", "--prefix", "/opt/ollama"])
    assert "Ollama in /opt/ollama" in shown.output
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkout_of_ollama_is_not_taken_for_llama_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.linux(tmp_path / "root")
    checkout = trees.write(tmp_path / "o/go.mod", "module github.com/ollama/ollama\n\ngo 1.24\n").parent
    monkeypatch.setenv("GPUBUILD_DEVICES", "gfx1032")
    monkeypatch.setattr("buildtool.cli.ollama_change.this_site", lambda: copied(tmp_path / "root"))
    refused = CliRunner().invoke(app, ["ollama", "enable", "--source", str(checkout), "--yes"]).exception
    assert isinstance(refused, InvalidInputError)
    assert "is a checkout of Ollama" in refused.what


# --- staging --------------------------------------------------------------------------------------------------------


def test_a_built_backend_is_completed_from_ollamas_own_runner(tmp_path: Path) -> None:
    root = trees.linux(tmp_path / "root")
    built = trees.write(tmp_path / "built/libggml-cuda.so", trees.cuda_module()).parent
    staged = stage.stage_built(only(root), "CUDA", "sm_90", built, tmp_path / "out", copied(root))
    assert staged.runner == "cuda_v13_gpubuild_sm90"
    assert staged.runner > "cuda_v13", "the highest name wins"
    assert json.loads((tmp_path / "out" / stage.MARK).read_text())["target"] == "sm_90"


def test_what_was_built_for_it_is_built_anew_after_an_upgrade_and_not_looked_for(tmp_path: Path) -> None:
    root = packaged(tmp_path / "root", "0.99.0")
    one, host = only(root, trees.H100), Host(os=LINUX, devices=(trees.H100,), host_compilers=(GCC,), libc=GLIBC)
    wheel = trees.write(tmp_path / "built/libggml-cuda.so", trees.cuda_module()).parent
    wish = Wish(method="compile", source="llama-cpp-python-0.3.36")
    chosen = plan(one, trees.H100, host, wish)
    progress = Silent()
    order = room.stage(copied(root), one, chosen, wish, lambda *_words: wheel, progress, tmp_path / "out")
    assert (order.built, order.source) == ("", "llama-cpp-python-0.3.36")
    named = msgspec.structs.replace(wish, built=wheel, source="")
    order = room.stage(copied(root), one, chosen, named, lambda *_words: wheel, progress, tmp_path / "two")
    assert order.built == str(wheel)


@pytest.mark.parametrize(
    ("named", "now", "again"),
    [
        ("", "b11434", ""),
        ("/tree", "b11081", "/tree"),
        ("/tree", "b11434", ""),
        ("https://mirror.example/llama.cpp#b11081", "b11434", "https://mirror.example/llama.cpp#b11434"),
        ("https://mirror.example/llama.cpp#b11081", "0.6.0-dev", ""),
        ("https://mirror.example/x.tar.gz#sha256=00", "b11434", ""),
    ],
)
def test_after_an_upgrade_a_mirror_is_asked_for_the_new_tag_and_a_tree_is_not_taken(
    named: str, now: str, again: str
) -> None:
    words = {"prefix": "/p", "program": "/p/bin/ollama", "target": "sm_90", "device": "H100", "version": "0.35.0"}
    record = Record(method="compile", llama_cpp="b11081", source=named, **words)  # type: ignore[arg-type]
    assert source_again(record, now, Asker(yes=True, quiet=True)) == again


@pytest.mark.parametrize(
    ("content", "target", "kind"),
    [
        ({"libggml-cuda.so": trees.cuda_module()}, "sm_86", IncompatibleError),
        ({"libother.so": library({".text": b"x"})}, "sm_90", InvalidInputError),
    ],
)
def test_a_build_that_would_not_help_is_refused(
    tmp_path: Path, content: dict[str, bytes], target: str, kind: type[GpubuildError]
) -> None:
    root = trees.linux(tmp_path / "root")
    for name, text in content.items():
        trees.write(tmp_path / "built" / name, text)
    with pytest.raises(kind):
        stage.stage_built(only(root), "CUDA", target, tmp_path / "built", tmp_path / "out", copied(root))


def wheel_of(place: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return place


def test_of_a_wheel_the_folder_of_the_module_is_taken_whole(tmp_path: Path) -> None:
    root = trees.linux(tmp_path / "root")
    wheel = wheel_of(tmp_path / "x.whl", {
        "gpubuild_llama_cuda13/lib/libggml-cuda.so": trees.cuda_module(), "gpubuild_llama_cuda13/lib/data/t.dat": b"t",
        "another/lib/notes.txt": b"", "gpubuild_llama_cuda13/__init__.py": b"",
    })  # fmt: skip
    out = tmp_path / "out"
    assert stage.stage_built(only(root), "CUDA", "sm_90", wheel, out, copied(root)).module == "libggml-cuda.so"
    assert sorted(str(one.relative_to(out)) for one in out.rglob("*") if one.is_file() and not one.is_symlink()) == [
        "data/t.dat", stage.MARK, "libggml-cuda.so",
    ]  # fmt: skip
    assert out.joinpath("libggml-cuda.so").stat().st_mode & 0o111
    assert not list(tmp_path.glob("*.unpacked"))


@pytest.mark.parametrize("name", ["a/lib/../../../../escaped", "/a/lib/escaped", "a/lib/../../../out/../escaped"])
def test_a_wheel_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    root = trees.linux(tmp_path / "root")
    wheel = wheel_of(tmp_path / "x.whl", {"a/lib/libggml-cuda.so": trees.cuda_module(), name: b"x"})
    with pytest.raises(UnsafeArchiveError):
        stage.stage_built(only(root), "CUDA", "sm_90", wheel, tmp_path / "w/a/b/out", copied(root))
    assert not list(tmp_path.rglob("escaped*"))
    assert not list(tmp_path.rglob("*.unpacked"))


def test_a_backend_that_is_not_there_is_not_looked_for_beside_its_place(tmp_path: Path) -> None:
    root = trees.linux(tmp_path / "root")
    built = trees.write(tmp_path / "built/libggml-cuda.so", trees.cuda_module()).parent
    for name in ("typo", "typo.whl", "libggml-cuda.so.1"):
        with pytest.raises(InvalidInputError, match="There is no"):
            stage.stage_built(only(root), "CUDA", "sm_90", built / name, tmp_path / f"out-{name}", copied(root))


@pytest.mark.parametrize(
    ("target", "held", "good"),
    [
        ("sm_90", ("compute_90",), True),
        ("sm_90", ("sm_90a",), True),
        ("sm_90", ("sm_80", "compute_80"), False),
        ("gfx90a:xnack-", ("gfx90a",), True),
        ("gfx90a", ("gfx90c",), False),
        ("gfx90a", ("gfx90f",), False),
    ],
)
def test_what_a_module_must_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, held: tuple[str, ...], *, good: bool
) -> None:
    """What Ollama's rules keep: PTX counts in ARCHS, and the driver compiles it."""
    root = trees.linux(tmp_path / "root")
    one = only(root)
    library, module = ("CUDA", "libggml-cuda.so") if target.startswith("sm_") else ("ROCm", "libggml-hip.so")
    built = trees.write(tmp_path / "built" / module, trees.cuda_module()).parent
    monkeypatch.setattr(stage.codeobj, "inspect", lambda _path: Inspection(targets=held, files=(), scanned=1))
    made = (one, library, target, built, tmp_path / "out", copied(root))
    if good:
        assert stage.stage_built(*made).module == module
    else:
        with pytest.raises(IncompatibleError, match="holds no code"):
            stage.stage_built(*made)


def test_an_order_of_another_gpubuild_is_refused(tmp_path: Path) -> None:
    file = trees.write(tmp_path / "order.json", '{"method": "teleport"}')
    with pytest.raises(IntegrityError, match="is not what was made") as caught:
        pick_up(tmp_path, digest(file))
    assert "not of this gpubuild" in caught.value.why


@pytest.fixture
def with_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in which an earlier run was broken off."""
    root = trees.linux(tmp_path / "root")
    transactions = Transactions(root / "usr/local/lib/ollama")
    folder = trees.write(tmp_path / "new/libggml-cuda.so", trees.cuda_module()).parent
    target = root / "usr/local/lib/ollama/cuda_v13_gpubuild_sm90"
    lock = transactions.locked()
    transactions.apply(transactions.prepare("enable", [Change(target=target, content=folder)], None))
    lock.release()
    monkeypatch.setenv("GPUBUILD_DEVICES", "gfx1032")
    monkeypatch.setattr("buildtool.cli.ollama_change.this_site", lambda: copied(root))
    return root


@pytest.mark.parametrize("option", ["--dry-run", "--print-script"])
def test_what_only_shows_takes_nothing_back(with_journal: Path, option: str) -> None:
    before = sorted(map(str, with_journal.rglob("*")))
    shown = CliRunner().invoke(app, ["ollama", "enable", option, "--method", "retarget"])
    assert shown.exception is None, shown.output
    assert sorted(map(str, with_journal.rglob("*"))) == before


def test_what_needs_nothing_says_so_in_json_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = trees.linux(tmp_path / "root")
    monkeypatch.setattr("buildtool.cli.ollama_change.this_site", lambda: copied(root))
    monkeypatch.setattr("buildtool.cli.ollama_change.find_devices", lambda *_words: (trees.H100,))
    served = json.loads(CliRunner().invoke(app, ["ollama", "enable", "--yes", "--json"]).stdout)
    assert (served["purpose"], served["method"], served["changed"]) == ("enable", "served", [])
    monkeypatch.setattr("buildtool.cli.ollama_change.find_devices", lambda *_words: (trees.RX6600,))
    no = json.loads(CliRunner().invoke(app, ["ollama", "enable", "--json"], input="n\n").stdout)
    assert (no["purpose"], no["changed"], no["notes"]) == ("enable", [], ["the answer was no"])
    record = Record(prefix="/usr/local", program="/usr/local/bin/ollama", method="override", target="gfx1032",
                    device="RX 6600", version="0.35.0", llama_cpp="b11081")  # fmt: skip
    state = Transactions(root / "usr/local/lib/ollama").state
    state.folder.mkdir()
    state.save_record(record)
    again = json.loads(CliRunner().invoke(app, ["ollama", "reapply", "--json"]).stdout)
    assert (again["purpose"], again["method"], again["changed"]) == ("reapply", "override", [])


def test_a_prefix_is_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.linux(tmp_path)
    (tmp_path / "usr/local/bin/ollama").chmod(0o644)  # it need not run here
    site = Site(system="linux")
    for place, prefix in (("usr", "local"), ("usr/share", "../local"), ("usr/local", "."), ("usr/local/lib", "..")):
        monkeypatch.chdir(tmp_path / place)
        assert [one.prefix for one in find(site, prefix)] == [str(tmp_path / "usr/local")]
    with pytest.raises(InvalidInputError, match="no Ollama below /"):
        find(site, "../elsewhere")


def test_a_home_with_signs_of_a_pattern_is_a_home(tmp_path: Path) -> None:
    home = tmp_path / "[a]*"
    trees.write(home / ".local/bin/ollama")
    site = Site(system="linux", environ={"HOME": str(home)})
    assert list(site.matches("{HOME}/.local/*/ollama")) == [str(home / ".local/bin/ollama")]


def test_a_library_that_is_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = trees.linux(tmp_path / "root")
    trees.write(tmp_path / "built/libggml-cuda.so", trees.cuda_module())
    wanted = ("libcudart.so.13", "libcublas.so.99", "libggml-base.so", "libc.so.6", "libcuda.so.1")
    monkeypatch.setattr(stage, "needed", lambda path: wanted if path.name == "libggml-cuda.so" else ())
    with pytest.raises(MissingToolError, match=r"libcublas\.so\.99, which"):
        stage.stage_built(only(root), "CUDA", "sm_90", tmp_path / "built", tmp_path / "out", copied(root))
    assert (tmp_path / "out/libggml-base.so").readlink().name == "libggml-base.so.0"
    assert (tmp_path / "out/libcudart.so.13").readlink().parent.name == "cuda_v13"


# --- what llama-server and the server say ----------------------------------------------------------------------------

LISTING = """  Device 0: AMD Radeon RX 6600, gfx1032 (0x1032), VMM: no, Wave Size: 32, VRAM: 8176 MiB
  Device 1: AMD Radeon Pro VII, gfx906:sramecc+:xnack- (0x906), VMM: no, Wave Size: 64, VRAM: 16368 MiB
Available devices:
  ROCm0: AMD Radeon RX 6600 (8176 MiB, 8000 MiB free)
  ROCm1: AMD Radeon Pro VII (16368 MiB, 16000 MiB free)
  BLAS: OpenBLAS (0 MiB, 0 MiB free)
"""


def test_a_listing_and_what_ollama_keeps_of_it() -> None:
    found = parse_listing(LISTING)
    assert [(one.library, one.compute) for one in found.devices] == [("ROCm", "gfx1032"), ("ROCm", "gfx906")]
    left = kept(found, ("gfx1032",), {}, "linux")
    assert left == {"ROCm0": "", "ROCm1": "no rocBLAS table for gfx906"}
    cuda = "  Device 0: X, compute capability 8.6, VMM: yes\n  CUDA0: X (10 MiB, 9 MiB free)\nCUDA : ARCHS = 800,900 |"
    assert "8.6 is not in ARCHS" in kept(parse_listing(cuda), (), {}, "linux")["CUDA0"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "127.0.0.1:11434"),
        ("0.0.0.0", "127.0.0.1:11434"),  # noqa: S104 - what people set
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("http://192.168.1.7:1234/", "192.168.1.7:1234"),
        (":9999", "127.0.0.1:9999"),
        ("[::]:11434", "127.0.0.1:11434"),
        ("[::1]", "::1:11434"),
        ("::1", "::1:11434"),
        ("http://gpu.example", "gpu.example:80"),
        ("https://gpu.example/path", "gpu.example:443"),
        ("127.0.0.1:99999", "127.0.0.1:11434"),
        ("127.0.0.1:²", "127.0.0.1:11434"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ],
)
def test_where_a_server_listens(value: str, words: str) -> None:
    assert Server.of({"OLLAMA_HOST": value}).words == words


def test_nobody_answers() -> None:
    nobody = Server(host="127.0.0.1", port=9)
    assert (nobody.version(), nobody.loaded(), nobody.models()) == (None, (), ())
    assert Asker(yes=True, quiet=True).ask("?")


def test_what_was_put_in_place_unproved_is_put_back_unproved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By root's step, which has other options, and by `reapply`, which has none of them."""
    root = trees.linux(tmp_path / "root")
    one, host = only(root, trees.H100), Host(os=LINUX, devices=(trees.H100,), host_compilers=(GCC,), libc=GLIBC)
    built = trees.write(tmp_path / "built/libggml-cuda.so", trees.cuda_module()).parent
    wish = Wish(method="compile", built=built, unproved=True)
    chosen = plan(one, trees.H100, host, wish)
    order = room.stage(copied(root), one, chosen, wish, lambda *_words: built, Silent(), tmp_path / "out")
    (tmp_path / "wait").mkdir()
    order = pick_up(tmp_path / "wait", leave(tmp_path / "wait", order))

    def lists_nothing(*_words: object) -> None:
        what = "llama-server loads it and lists no device"
        raise VerificationError(what)

    monkeypatch.setattr(room, "listed", lists_nothing)
    hands = Hands(copied(root), one, Asker(yes=True, quiet=True))
    assert room.check(hands, order) == ("unproved: llama-server loads it and lists no device",)
    with pytest.raises(VerificationError, match="lists no device"):
        room.check(hands, msgspec.structs.replace(order, unproved=False))


def proof_of(verdict: str) -> object:
    from buildtool.verify.rig import LoaderProof

    return lambda *_words, **_more: LoaderProof(directory="", verdict=verdict, summary=f"rocblas: {verdict}")


@pytest.mark.parametrize("verdict", ["loader-proved", "not-proved", "failed"])
def test_without_the_card_an_imitated_hip_runtime_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    monkeypatch.setattr("buildtool.verify.rig.proof_here_or_inside", proof_of(verdict))
    site = copied(trees.linux(tmp_path))
    one = only(tmp_path, trees.RX6600)
    hands = Hands(site, one, Asker(yes=True, quiet=True))
    staged = stage.Staged(runner="x", folder=str(tmp_path / "usr/local/lib/ollama/rocm_v7_2"))
    order = Order(method="retarget", target="gfx1032", device="RX 6600", staged=staged)
    runner = one.runners[2]
    assert runner.library == "ROCm"
    if verdict == "failed":
        with pytest.raises(VerificationError, match="does not take"):
            loader_words(hands, order, runner)
    else:
        assert loader_words(hands, order, runner) == (f"before an imitated device: rocblas: {verdict}",)
