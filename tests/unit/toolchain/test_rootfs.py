from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rootfs_samples import NO_NAMESPACES, PACKAGES, Debian, compiler, made_of, rocm

from buildtool.cli.main import main
from buildtool.compat.model import Pin, PlanCompiler
from buildtool.errors import (
    GpubuildError,
    IntegrityError,
    InvalidInputError,
    MissingToolError,
    NetworkError,
    StorageError,
    UnknownNameError,
)
from buildtool.store import storage
from buildtool.store.entries import Store
from buildtool.toolchain import Toolchain, acquire, install, installed, pinned, remove, show
from buildtool.toolchain.rootfs.layout import vulkan_parts
from buildtool.toolchain.rootfs.record import owners, packages
from buildtool.toolchain.rootfs.resolve import parse_uris
from buildtool.toolchain.rootfs.suite import find_mirror
from buildtool.toolchain.sandbox import Sandbox, open_sandbox

pytestmark = [
    pytest.mark.usefixtures("place"),
    pytest.mark.skipif(sys.platform != "linux", reason="root filesystems are made on Linux"),
]


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    folder = tmp_path / "programs"
    folder.mkdir()
    keyring = tmp_path / "keys.gpg"
    keyring.touch()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("GPUBUILD_DEBIAN_KEYRING", str(keyring))
    monkeypatch.delenv("GPUBUILD_DEBIAN_MIRROR", raising=False)
    return Debian(folder)


def made() -> Toolchain:
    return acquire(rocm(), compiler())


def drafts(place: Path) -> list[Path]:
    return list((place / "store" / "tmp").glob("*"))


@pytest.mark.usefixtures("debian")
def test_a_root_filesystem_becomes_a_toolchain_with_paths_as_they_are_inside() -> None:
    toolchain = made()
    assert (toolchain.kind, toolchain.provider, toolchain.root) == ("rocm", "rootfs", "/usr")
    assert toolchain.cmake_options == {
        "CMAKE_C_COMPILER": "/usr/bin/gcc-16",
        "CMAKE_CXX_COMPILER": "/usr/bin/g++-16",
        "CMAKE_HIP_COMPILER": "/usr/lib/llvm-21/bin/clang++",
        "CMAKE_PREFIX_PATH": "/usr",
    }
    assert toolchain.env == {"HIPCXX": "/usr/lib/llvm-21/bin/clang++"}
    assert toolchain.sandbox is not None
    tree = Path(toolchain.sandbox.tree)
    assert (tree / "lib64").readlink() == Path("usr/lib64")
    assert not (tree / "var/cache/apt").exists()
    assert not (tree / "dev").exists()
    assert not (tree / "usr/bin/ccache").stat().st_mode & 0o222


def test_apt_and_mmdebstrap_are_told_exactly_the_pinned_packages_from_apts_own_mirror(debian: Debian) -> None:
    made()
    (line,) = debian.asked("mmdebstrap")
    included = next(word for word in line.split() if word.startswith("--include="))
    assert set(included.removeprefix("--include=").split(",")) == {f"{n}={v}" for n, v in PACKAGES.items()}
    assert '--aptopt=Acquire::http::Proxy "http://proxy.test:3128/"' in line
    assert "--mode=chrootless" in line
    sources = (debian.folder / "suite.sources").read_text()
    assert "URIs: http://mirror.test/debian/\n" in sources
    assert "Signed-By: " in sources
    config = (debian.folder / "apt.conf").read_text()
    assert 'Dir::Etc::parts "/dev/null";' in config
    assert 'Acquire::http::Proxy "http://proxy.test:3128/";' in config


def test_a_second_time_nothing_is_asked_and_a_lock_finds_the_same_tree(debian: Debian) -> None:
    first = made()
    exact = pinned(rocm())
    debian.say("update-fails", "E: no network at all\n")
    assert made() == first
    assert acquire(exact, compiler()) == first
    assert {pin.name: pin.version for pin in exact.pins} == PACKAGES


def test_an_interrupted_bootstrap_leaves_its_packages_and_nothing_else(debian: Debian, place: Path) -> None:
    debian.say("bootstrap-fails", "E: received signal: INT\n")
    with pytest.raises(GpubuildError):
        made()
    assert installed() == []
    assert drafts(place) == []
    debian.unsay("bootstrap-fails")
    made()
    assert len((debian.folder / "found").read_text().splitlines()) == len(PACKAGES) + 1  # and apt's own partial/
    assert not list((place / "cache" / "downloads").glob("rootfs-*"))


def test_a_package_that_is_not_the_pinned_one_never_enters_the_store(debian: Debian, place: Path) -> None:
    (debian.folder / "debs" / "hipcc_7.0.2+dfsg-3_amd64.deb").write_text("something else")
    with pytest.raises(IntegrityError, match="hipcc"):
        made()
    assert installed() == []
    assert not list((place / "cache" / "downloads").glob("rootfs-*/*.deb"))


def test_a_suite_that_changed_a_pinned_package_is_refused(debian: Debian) -> None:
    forged = tuple(
        Pin(name=name, version=version, filename=f"{name}.deb", sha256="0" * 64) for name, version in PACKAGES.items()
    )
    with pytest.raises(IntegrityError, match="not the pinned ones"):
        acquire(msgspec.structs.replace(rocm(), pins=forged), compiler())
    assert debian.asked("mmdebstrap") == []


def test_too_small_a_disk_is_told_with_the_size_before_anything_is_fetched(
    debian: Debian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "free_bytes", lambda _: 3_000_000_000)
    with pytest.raises(StorageError, match=r"rocm-7\.0-sid") as caught:
        made()
    assert "It needs 5.4 GB; 3.0 GB are free" in caught.value.why
    assert debian.asked("mmdebstrap") == []


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("E: Release file for http://mirror.test/x is expired (invalid since 17d).", NetworkError, "=ignore"),
        ("W: GPG error: ... NO_PUBKEY 1234", IntegrityError, "debian-archive-keyring"),
        ("E: The repository 'http://mirror.test sid InRelease' is not signed.", IntegrityError, "keyring"),
        ("E: Failed to fetch http://mirror.test/x  Could not connect", NetworkError, "GPUBUILD_DEBIAN_MIRROR"),
        ("E: Failed to fetch http://mirror.test/x  400\nE: The repository 'x' is not signed.", NetworkError, "network"),
        ("Err:1 http://mirror.test sid InRelease\n  Could not resolve 'mirror.test'", NetworkError, "network"),
    ],
)
def test_a_suite_that_cannot_be_had_says_why(debian: Debian, said: str, kind: type[Exception], words: str) -> None:
    debian.say("update-fails", said + "\n")
    with pytest.raises(kind) as caught:
        made()
    assert words in caught.value.hint  # type: ignore[attr-defined]
    assert "sid" in str(caught.value)


def test_a_package_version_that_is_gone_says_what_to_do(debian: Debian) -> None:
    exact = pinned(rocm())
    debian.say("install-fails", "E: Version '7.0.2+dfsg-3' for 'hipcc' was not found\n")
    with pytest.raises(NetworkError, match="no longer carries") as caught:
        acquire(exact, compiler())
    assert "Plan again" in caught.value.hint
    assert any("hipcc" in line for line in caught.value.details)


def test_no_user_namespaces_is_told_before_gigabytes_are_fetched(debian: Debian) -> None:
    debian.say("bwrap-fails", NO_NAMESPACES)
    with pytest.raises(MissingToolError, match="user namespace") as caught:
        install("rocm==7.*", None)
    for words in ("unprivileged_userns_clone", "apparmor_restrict", "podman"):
        assert words in caught.value.hint
    assert debian.asked("apt-get") == debian.asked("mmdebstrap") == []


@pytest.mark.parametrize("program", ["mmdebstrap", "bwrap"])
@pytest.mark.usefixtures("debian")
def test_a_missing_program_names_its_package(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name: None if name == program else which(name))
    with pytest.raises(MissingToolError) as caught:
        made()
    assert "apt-get install" in caught.value.hint


@pytest.mark.parametrize(
    ("targets", "url"),
    [
        ("http://a.test/debian bookworm main\n", "http://a.test/debian"),
        ("http://b.test/extra bookworm main\nhttp://a.test/debian trixie main\n", "http://a.test/debian"),
        ("http://b.test/docker/debian bookworm stable\nhttp://a.test/pool sid main\n", "http://a.test/pool"),
    ],
)
def test_the_mirror_is_that_of_apts_configuration(debian: Debian, targets: str, url: str) -> None:
    debian.say("targets", targets)
    assert find_mirror().url == url


def test_a_machine_whose_apt_knows_no_debian_is_asked_for_a_mirror(
    debian: Debian, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian.say("targets", "http://a.test/ubuntu noble main\n")
    with pytest.raises(NetworkError, match="Debian packages") as caught:
        find_mirror()
    assert "GPUBUILD_DEBIAN_MIRROR" in caught.value.hint
    monkeypatch.setenv("GPUBUILD_DEBIAN_MIRROR", "http://named.test/debian")
    assert find_mirror().url == "http://named.test/debian"
    assert find_mirror("http://given.test/debian", ignore_valid_until=True).options[-1] == (
        'Acquire::Check-Valid-Until "false"'
    )


@pytest.mark.usefixtures("debian")
def test_without_keys_nothing_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_DEBIAN_KEYRING", "/nowhere/keys.gpg")
    with pytest.raises(MissingToolError, match="keys"):
        find_mirror()


REAL = """\
The following NEW packages will be installed:
  ccache libxxhash0
0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Need to get 926 kB of archives.
After this operation, 1,234 kB of additional disk space will be used.
'http://mirror.test/debian/pool/main/x/xxhash/libxxhash0_0.8.3-2%2bb2_amd64.deb' libxxhash0_0.8.3-2+b2_amd64.deb 27140 \
SHA256:3dc2a55daf655f3c07df99b2be4cb7eea6b79089e66407f6739fe40c267907c4
'http://mirror.test/debian/pool/main/g/gcc/g%2b%2b_4%253a16-1_amd64.deb' g++_4%3a16-1_amd64.deb 898500 \
SHA256:4ef4df3f8245e0950d26dea1bc746ac70c399f4288c5cebf7ba3b64d9124b0b9
"""


def test_what_apt_prints_is_read() -> None:
    found = parse_uris(REAL)
    assert (found.download, found.unpacked) == (27140 + 898500, 1_234_000)
    assert [(pin.name, pin.version) for pin in found.pins] == [("g++", "4:16-1"), ("libxxhash0", "0.8.3-2+b2")]
    assert found.pins[0].filename == "g++_4%3a16-1_amd64.deb"


@given(st.text(max_size=200))
def test_anything_apt_prints_is_read_or_refused(text: str) -> None:
    try:
        found = parse_uris(text)
    except IntegrityError:
        return
    assert found.pins


@pytest.mark.usefixtures("debian")
def test_it_is_listed_shown_pruned_and_gives_its_space_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made()
    (only,) = installed()
    assert (only.kind, only.version, only.origin) == ("rocm", "7.0", "Debian sid")
    assert "hipcc 7.0.2+dfsg-3" in only.wheels
    for name in ("7.0", "rocm==7.0", "rocm 7.0", only.name):
        assert show(name) == only
    monkeypatch.setattr(sys, "argv", ["gpubuild", "toolchain", "prune", "--json"])
    with pytest.raises(SystemExit):
        main()
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["removed"]] == [only.name]
    assert installed() == []
    assert not Path(only.path).exists()


@pytest.mark.usefixtures("debian")
def test_prune_goes_on_after_a_toolkit_that_is_in_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made()
    (only,) = installed()
    with Store().locked(only.store_kind, only.key):
        monkeypatch.setattr(sys, "argv", ["gpubuild", "toolchain", "prune"])
        with pytest.raises(SystemExit) as left:
            main()
    told = capsys.readouterr()
    assert left.value.code == 0
    assert f"{only.name} stays:" in told.err
    assert "Removed" not in told.out
    assert installed() == [only]


@pytest.mark.usefixtures("debian")
def test_prune_spares_what_a_build_uses(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made()
    (only,) = installed()
    build = place / "cache" / "build" / "one"
    build.mkdir(parents=True)
    (build / "gpubuild-configure.json").write_text(json.dumps({"arguments": "", "toolkits": [only.path]}))
    monkeypatch.setattr(sys, "argv", ["gpubuild", "toolchain", "prune"])
    with pytest.raises(SystemExit):
        main()
    assert "Nothing to delete" in capsys.readouterr().out
    assert remove(only.name) == only


def sandbox(tree: Path) -> Sandbox:
    for name in ("etc", "usr/bin", "usr/lib64", "usr/local"):
        (tree / name).mkdir(parents=True)
    return Sandbox(tree=str(tree), program="/usr/bin/bwrap", isolation=("--unshare-all",), readable=("/opt/cmake",))


def test_a_command_sees_its_paths_and_nothing_else(tmp_path: Path) -> None:
    argv = sandbox(tmp_path).argv(
        ["cmake", "-B", "/home/me/src/build"],
        cwd=Path("/home/me/src/build"),
        readable=[Path("/home/me/src")],
        writable=[Path("/home/me/src/build")],
    )
    assert argv[:2] == ["/usr/bin/bwrap", "--unshare-all"]
    assert argv[-5:] == ["/home/me/src/build", "--", "cmake", "-B", "/home/me/src/build"]
    binds = [(word, argv[n + 2]) for n, word in enumerate(argv) if word in {"--bind", "--ro-bind"}]
    assert binds == [
        ("--ro-bind", "/etc"),
        ("--ro-bind", "/usr"),
        ("--ro-bind", "/opt/cmake"),
        ("--ro-bind", "/home/me/src"),  # before what lies in it, which it would cover
        ("--bind", "/home/me/src/build"),
    ]
    assert "usr/bin" in argv
    assert "usr/sbin" not in argv


@pytest.mark.parametrize("path", ["/usr/src/llama", "/etc/x", "/lib/x", "/proc/x"])
def test_a_path_that_the_root_filesystem_would_hide_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidInputError, match="of its own"):
        sandbox(tmp_path).argv(["true"], cwd=Path("/"), readable=[Path(path)])


def test_gpubuild_below_usr_local_is_shown(tmp_path: Path) -> None:
    assert "/usr/local/share/x" in sandbox(tmp_path).argv(
        ["true"], cwd=Path("/"), readable=[Path("/usr/local/share/x")]
    )


def test_nothing_of_the_machine_leaks_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", "-march=native")
    env = sandbox(tmp_path).environment({"CCACHE_DIR": "/c"})
    assert env == {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/tmp", "TMPDIR": "/tmp", "CCACHE_DIR": "/c"}


def test_where_a_private_proc_is_refused_the_outer_one_is_shown(debian: Debian, tmp_path: Path) -> None:
    refusal = 'echo "bwrap: Can\'t mount proc on /newroot/proc" >&2; exit 1'
    text = f'#!/bin/sh\ncase " $* " in *" --proc "*) {refusal};; esac\n'
    debian.say("bwrap", text)
    assert "--ro-bind" in open_sandbox(tmp_path).isolation


def test_a_plan_with_other_packages_is_another_tree(debian: Debian) -> None:
    first = made()
    exact = pinned(rocm())
    fewer = msgspec.structs.replace(exact, pins=exact.pins[1:])
    debian.say(
        "uris", "".join(f"{line}\n" for line in debian.uris().splitlines() if exact.pins[0].filename not in line)
    )
    second = acquire(fewer, compiler())
    assert first.sandbox is not None
    assert second.sandbox is not None
    assert first.sandbox.tree != second.sandbox.tree
    with pytest.raises(UnknownNameError, match="Several"):
        show("rocm 7.0")


def test_a_tree_knows_its_packages_and_keeps_their_licences(debian: Debian) -> None:
    sandbox = made().sandbox
    assert sandbox is not None
    tree = Path(sandbox.tree)
    assert {name: one.version for name, one in packages(tree).items()} == PACKAGES
    assert packages(tree)["hipcc"].source == "rocm-hipcc"
    names = [path.name for path in (tree / "var/lib/dpkg/info").iterdir()]
    assert sorted(names) == sorted(f"{name}.md5sums" for name in PACKAGES)
    file = tree / "usr/bin/nvcc"
    assert owners(tree, [file]) == {}, "no package brought it"
    assert "--dpkgopt=path-include=/usr/share/doc/*/copyright" in debian.asked("mmdebstrap")[0]


def test_vulkans_tree_is_used_from_outside_with_the_machines_compiler(debian: Debian) -> None:
    debian.say("bwrap-fails", NO_NAMESPACES)
    host = PlanCompiler(family="gcc", version="12.2.0", cxx="/bin/sh", cc="/bin/cat")
    toolchain = acquire(made_of("vulkan-1.4.309-trixie"), host)
    assert (toolchain.kind, toolchain.provider, toolchain.sandbox) == ("vulkan", "rootfs", None)
    assert (toolchain.cmake_options["CMAKE_CXX_COMPILER"], toolchain.env["CXX"]) == ("/bin/sh", "/bin/sh")
    assert toolchain.root is not None
    usr = Path(toolchain.root)
    assert toolchain.cmake_options["Vulkan_INCLUDE_DIR"] == str(usr / "include")
    assert Path(toolchain.cmake_options["SPIRV-Headers_DIR"], "SPIRV-HeadersConfig.cmake").is_file()
    glslc = toolchain.cmake_options["Vulkan_GLSLC_EXECUTABLE"]
    said = subprocess.run([glslc, "-o", "a b", "$x"], capture_output=True, text=True, check=True).stdout.splitlines()
    # The imitation of the tree's loader prints what it is given: the tree's own libraries and program.
    assert said[0] == "--library-path"
    assert [Path(one).resolve() for one in said[1:3]] == [usr / "lib/x86_64-linux-gnu", usr / "bin/glslc"]
    assert said[3:] == ["-o", "a b", "$x"]


@pytest.mark.parametrize(
    "name", ["usr/bin/glslc", "usr/include/vulkan/vulkan.hpp", "usr/lib/x86_64-linux-gnu/libvulkan.so"]
)
def test_a_vulkan_tree_without_a_part_is_told(name: str, tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).touch()
    assert vulkan_parts(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IntegrityError):
        vulkan_parts(tmp_path)


PARTS = (
    "usr/bin/glslc", "usr/local/bin/glslc", "usr/include/vulkan/vulkan.hpp", "usr/lib/x86_64-linux-gnu/libvulkan.so",
    "usr/share/cmake/SPIRV-Headers/SPIRV-HeadersConfig.cmake",
)  # fmt: skip
