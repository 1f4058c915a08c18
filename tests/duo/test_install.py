# SPDX-License-Identifier: MIT
"""The board's installer and console, with made-up bundles, a made-up ssh and a pseudo terminal.

usage: test_install.py SOURCE
"""
import lzma
import os
import pathlib
import pty
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

SOURCE = pathlib.Path(sys.argv[1])
FAILURES = []


def expect(what, good, detail=""):
    print(f"{'ok' if good else 'FAILED'}: {what}" + ("" if good else f": {detail}"))
    if not good:
        FAILURES.append(what)


def bundle(work, version, starts=True):
    """Writes the bundles of a program that prints its version."""
    tree = work / "tree" / "duotale"
    shutil.rmtree(work / "tree", ignore_errors=True)
    (tree / "etc").mkdir(parents=True)
    (tree / "duotale").write_text(f"#!/bin/sh\necho {version}\nexit {0 if starts else 1}\n")
    (tree / "duotale").chmod(0o755)
    shutil.copy(SOURCE / "packaging" / "duo" / "files" / "console", tree / "etc" / "console")
    (tree / "etc" / "setup").write_text("#!/bin/sh\nexit 0\n")
    (tree / "etc" / "setup").chmod(0o755)
    for name in ("duotale-duo.tar.xz", "duotale-duo-model.tar.xz"):
        with lzma.open(work / name, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
            tar.add(tree, "duotale")


def install(here, target):
    programs = here / "programs"
    programs.mkdir(exist_ok=True)
    ssh = programs / "ssh"
    ssh.write_text("#!/bin/sh\nshift\nexec sh -c \"$*\"\n")
    ssh.chmod(0o755)
    return subprocess.run(["bash", str(SOURCE / "packaging" / "duo" / "install"), target],
                          capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, "DUO_WORK": str(here / "work"),
                               "PATH": f"{programs}:{os.environ['PATH']}"})


def version(folder):
    program = folder / "duotale" / "duotale"
    if not program.exists():
        return None
    return subprocess.run([program], capture_output=True, text=True, check=False).stdout.strip()


def replacing(here):
    """The old copy stays until the new one is complete."""
    work = here / "work"
    work.mkdir()
    for way in ("card", "ssh"):
        folder = here / way
        folder.mkdir()
        target = str(folder) if way == "card" else f"root@board:{folder}"
        bundle(work, "one")
        result = install(here, target)
        expect(f"{way}: installs", result.returncode == 0 and version(folder) == "one",
               result.stderr)
        (folder / "duotale" / "etc" / "off").touch()
        bundle(work, "two")
        model = work / "duotale-duo-model.tar.xz"
        whole = model.read_bytes()
        model.write_bytes(whole[:len(whole) // 2])
        result = install(here, target)
        expect(f"{way}: half a bundle changes nothing",
               result.returncode != 0 and version(folder) == "one", version(folder))
        model.write_bytes(whole)
        if way == "ssh":
            bundle(work, "three", starts=False)
            result = install(here, target)
            expect("ssh: a program that does not start changes nothing",
                   result.returncode != 0 and version(folder) == "one", version(folder))
            bundle(work, "two")
        os.rename(folder / "duotale", folder / "duotale.old")  # cut between the two renames
        model.write_bytes(whole[:len(whole) // 2])
        install(here, target)
        expect(f"{way}: another try that fails leaves the old copy",
               (folder / "duotale.old" / "duotale").exists())
        model.write_bytes(whole)
        os.rename(folder / "duotale.old", folder / "duotale")
        result = install(here, target)
        expect(f"{way}: a whole bundle replaces it",
               result.returncode == 0 and version(folder) == "two", result.stderr)
        expect(f"{way}: the console stays disabled", (folder / "duotale/etc/off").exists())
        expect(f"{way}: nothing else is left",
               sorted(p.name for p in folder.iterdir()) == ["duotale"], list(folder.iterdir()))


def console(here):
    """The console never gives a shell without the system's login."""
    folder = here / "card"
    (folder / "duotale" / "etc" / "off").unlink()
    login = here / "login"
    login.write_text("#!/bin/sh\necho the system asks\n")
    login.chmod(0o755)
    for word in ("sh", "login"):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            ["setsid", "sh", str(folder / "duotale" / "etc" / "console")],
            env={**os.environ, "DUOTALE_TTY": os.ttyname(slave), "DUOTALE_LOGIN": str(login)})
        seen, end = b"", time.monotonic() + 20
        typed = False
        while time.monotonic() < end and b"the system asks" not in seen:
            if select.select([master], [], [], 0.1)[0]:
                seen += os.read(master, 4096)
            if b"Type login" in seen and not typed:
                os.write(master, f"{word}\n".encode())
                typed = True
        os.write(master, b"echo sh$((40+2))\n")
        while select.select([master], [], [], 0.5)[0]:
            seen += os.read(master, 4096)
        process.terminate()
        process.wait()
        expect(f"console: \"{word}\" asks for the login",
               b"the system asks" in seen and b"sh42" not in seen, seen)
        os.close(master)
        os.close(slave)


def main():
    if not shutil.which("xz") or not shutil.which("setsid"):
        print("skipped: xz or setsid is missing")
        return
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        replacing(here)
        console(here)
    sys.exit(1 if FAILURES else 0)


main()
