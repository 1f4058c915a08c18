# SPDX-License-Identifier: MIT
"""The library of stories on the command line: read-only, foreign, hostile, and of version 1.

usage: test_library.py PROGRAM SOURCE
"""
import hashlib
import os
import pathlib
import shutil
import sqlite3
import subprocess

import common

MODEL = common.DATA / (common.DATA / "default").read_text().strip()
FIXTURE = common.SOURCE / "tests" / "unit" / "library_v1.db"


def environment(home):
    return {"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config"}


def run(home, *arguments, text=b"", **more):
    return common.run(*arguments, env=environment(home), text=text, cwd=home, **more)


def session(home, *arguments, text=b"Once upon a time"):
    return run(home, MODEL, "--no-config", "-s", "3", "-n", "6", "-b", "reference", *arguments,
               text=text)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def drop_root():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def read_only(home):
    """Without permission to write: a notice first, exit code 1, and the story in a file."""
    folder = pathlib.Path(home, "read-only")
    work = pathlib.Path(home, "work")
    folder.mkdir()
    work.mkdir()
    os.chmod(home, 0o755)
    os.chmod(work, 0o777)
    library = folder / "library.db"
    shutil.copy(FIXTURE, library)
    model = work / "model"
    shutil.copy(MODEL, model)
    os.chmod(library, 0o444)
    os.chmod(folder, 0o555)
    command = [common.PROGRAM, str(model), "--no-config", "-s", "3", "-n", "6", "-b", "reference",
               "--library", str(library)]
    results = []
    for text in (b"Once upon a time", b"/library\n"):
        try:
            results.append(subprocess.run(
                command, input=text, capture_output=True, check=False, cwd=work, timeout=60,
                preexec_fn=drop_root, env={**os.environ, **environment(str(work))}))
        except (PermissionError, subprocess.SubprocessError):
            print("skipped: the program cannot be run as another user here")
            return
    os.chmod(folder, 0o755)
    with_turn, without = results
    if with_turn.returncode == 126 or b"error while loading" in with_turn.stderr:
        print("skipped: another user cannot run the program here")
        return
    common.expect_run("read-only: exit code 1 when a turn is not saved", with_turn, 1, b"Once upon",
                      b"1 turn could not be saved")
    common.expect("read-only: said first, and once",
                  with_turn.stderr.startswith(b"Not saved for now")
                  and with_turn.stderr.count(b"Not saved for now") == 1, with_turn.stderr)
    common.expect("read-only: the figures show it", b"| not saved" in with_turn.stderr,
                  with_turn.stderr)
    rescued = [path for path in work.rglob("duotale-story-*.md")]
    common.expect("read-only: the story is in a file",
                  len(rescued) == 1 and "Once upon a time" in rescued[0].read_text()
                  and rescued[0].name.encode() in with_turn.stderr, (rescued, with_turn.stderr))
    common.expect_run("read-only: nothing to save is no error", without, 0, None,
                      b"Not saved for now")
    common.expect("read-only: unchanged", digest(library) == digest(FIXTURE))


def foreign(home):
    """--library FILE that is not a library: refused, and not one byte or name changes."""
    notes = pathlib.Path(home, "notes.txt")
    notes.write_text("notes\n" * 200)
    other = pathlib.Path(home, "other.db")
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE story(id)")
    db.close()
    before = digest(notes), digest(other)
    for path in (notes, other):
        r = session(home, "--library", path)
        common.expect_run(f"{path.name}: not a library", r, 1, b"Once upon", b"name another file")
        r = run(home, "stories", "list", "--library", path)
        common.expect_run(f"{path.name}: stories list", r, 1, b"", b"name another file")
    common.expect("files that are no library are unchanged",
                  (digest(notes), digest(other)) == before)
    names = {path.name for path in pathlib.Path(home).iterdir()}
    common.expect("files that are no library are not renamed",
                  not [name for name in names if "broken" in name or "-wal" in name], names)


def version_1(home):
    """A library of version 1 is read as it is, and converted by the first session."""
    library = pathlib.Path(home, "library.db")
    shutil.copy(FIXTURE, library)
    r = run(home, "stories", "list", "--library", library)
    order = [line.split()[0] for line in r.stdout.splitlines()]
    common.expect("version 1: listed by the last change", order == [b"1", b"3", b"2"], r)
    common.expect("version 1: reading changes nothing", digest(library) == digest(FIXTURE))
    r = session(home, "--library", library)
    common.expect_run("version 1: a session", r, 0, b"Once upon")
    copy = pathlib.Path(str(library) + ".v1")
    with sqlite3.connect(copy) as db:
        common.expect("version 1: the copy", db.execute("PRAGMA user_version").fetchone() == (1,)
                      and db.execute("SELECT count(*) FROM turn").fetchone() == (4,))
    db.close()
    with sqlite3.connect(library) as db:
        common.expect("version 2", db.execute("PRAGMA user_version").fetchone() == (2,)
                      and db.execute("SELECT count(*) FROM turn").fetchone() == (5,))
        db.execute("PRAGMA user_version = 3")
    db.close()
    # as a release that knows only version 1 does with version 2
    before = digest(library)
    r = session(home, "--library", library)
    common.expect_run("a later version: refused", r, 1, None, b"update duotale")
    common.expect("a later version: unchanged", digest(library) == before)


def hostile_rows(home):
    """Dates without a name, NULL where text belongs: every verb answers."""
    library = pathlib.Path(home, "hostile.db")
    session(home, "--library", library)
    with sqlite3.connect(library) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') "
                   "WHERE name IN ('story', 'turn')")
    db.close()
    for what in ("updated = 99999999999999999", "created = -99999999999999999",
                 "updated = x'00ff'", "title = NULL", "title = x'ff00ff'", "model = NULL"):
        with sqlite3.connect(library) as db:
            db.execute(f"UPDATE story SET {what}")
        db.close()
        for arguments in (["list"], ["list", "--json"], ["search", "once"], ["show", "1"],
                          ["show", "1", "--json"]):
            r = run(home, "stories", *arguments, "--library", library)
            common.expect_run(f"{what}: stories {arguments}", r, 0)
        r = session(home, "--library", library, text=b"/library\n/library once\n/open 1\n")
        common.expect_run(f"{what}: a session", r, 0, b"", b"Story 1")


def last_story(home):
    """The last story is the one that was changed last, whatever the clock said."""
    library = pathlib.Path(home, "clock.db")
    session(home, "--library", library, text=b"The first story")
    session(home, "--library", library, text=b"The second story")
    with sqlite3.connect(library) as db:
        db.execute("UPDATE story SET updated = 4000000000 WHERE id = 1")
    db.close()
    r = session(home, "--library", library, "--open=last", text=b"/stats\n")
    common.expect_run("--open after a clock that went back", r, 0, b"The second story", b"Story 2")


def own_settings(home):
    """What belongs to a story (system prompt, sampling, premise) is not used for another one."""
    library = pathlib.Path(home, "own.db")
    session(home, "--library", library, "--mode", "chat",
            text=b"/system Be a pirate.\n/set temperature 0.5\n/pin A ship.\nHello.\n")
    session(home, "--library", library, text=b"Once upon a time")
    with sqlite3.connect(library) as db:
        db.execute("UPDATE story SET settings = settings || ? WHERE id = 1",
                   (f"speak-to = {home}/spoken.wav\nlibrary = {home}/x.db\n",))
    db.close()
    r = session(home, "--library", library, text=(
        b"/open 1\n/open 2\n/set system\n/set temperature\n/pin\n/continue\n"
        b"/open 1\n/set system\n/set temperature\n/pin\n/new\n/set system\n/pin\nA third one\n"))
    answers = [line for line in r.stderr.decode().splitlines() + r.stdout.decode().splitlines()
               if line.startswith(("system =", "temperature =", "The premise", "No premise"))]
    common.expect("another story does not inherit what belongs to the opened one",
                  [a for a in answers if a.startswith("system")]
                  == ["system = ", "system = Be a pirate.", "system = "]
                  and [a for a in answers if a.startswith("temperature")]
                  == ["temperature = 0.8", "temperature = 0.5"]
                  and [a.split(".")[0] for a in answers if "remise" in a]
                  == ["No premise", "The premise is: A ship", "No premise"], answers)
    with sqlite3.connect(library) as db:
        rows = db.execute("SELECT system, premise FROM story ORDER BY id").fetchall()
    db.close()
    common.expect("and nothing of it is saved with another one",
                  rows == [("Be a pirate.", "A ship."), ("", ""), ("", "")], rows)
    r = session(home, "--library", library, "--open=1", "--system", "Be kind.",
                text=b"/set system\n/set speak-to\n")
    common.expect("--system has precedence over the story that --open names",
                  b"system = Be kind." in r.stdout + r.stderr, r)
    common.expect("other settings in a row are ignored",
                  b"speak-to = \n" in r.stdout + r.stderr, r)


def exports(home):
    """A file that exists is replaced only with --force, or after a question."""
    library = pathlib.Path(home, "export.db")
    session(home, "--library", library)
    for name in ("story.md", "story.txt", "story.json"):
        path = pathlib.Path(home, name)
        r = run(home, "stories", "export", "1", path, "--library", library)
        common.expect_run(f"{name}: a new file", r, 0)
        path.write_text("precious")
        r = run(home, "stories", "export", "1", path, "--library", library)
        common.expect_run(f"{name}: refused", r, 1, b"", b"--force")
        r = session(home, "--library", library,
                    text=b"/open 1\n/export %s\n/export 1 %s\n" % (name.encode(), name.encode()))
        common.expect("a pipe cannot answer, which means no",
                      r.stderr.count(b"exists. Replace it?") == 2
                      and r.stderr.count(b"nothing was written") == 2, r)
        common.expect(f"{name}: unchanged", path.read_text() == "precious")
        r = run(home, "stories", "export", "1", path, "--force", "--library", library)
        common.expect_run(f"{name}: --force", r, 0)
        common.expect(f"{name}: replaced", "Once upon a time" in path.read_text())
    wav = pathlib.Path(home, "spoken.wav")
    wav.write_text("precious")
    r = run(home, "run", MODEL, "-i", "Once", "-n", "8", "-b", "reference", "--speak-to", wav)
    common.expect_run("run --speak-to: refused", r, 1, b"", b"--force")
    r = session(home, "--library", library, "--speak-to", wav)
    common.expect_run("a session with --speak-to: refused", r, 1, b"Once upon", b"--force")
    r = session(home, "--library", library, text=b"/set speak-to %s\n" % str(wav).encode())
    common.expect_run("/set speak-to: asks", r, 0, None, b"exists. Replace it")
    common.expect("the sound file is unchanged", wav.read_text() == "precious")
    own = pathlib.Path(home, "own.wav")
    r = session(home, "--library", library, "--speak-to", own, "--voice", "tones", text=(
        b"/new\nOnce upon a time\n/set voice-pitch 70\n/continue\n"
        b"/set voice-pitch 50\n/continue\n"))
    common.expect_run("a session whose voice changes twice", r, 0)
    files = [own, own.with_name("own-2.wav"), own.with_name("own-3.wav")]
    common.expect("keeps what was spoken before",
                  all(f.is_file() and f.stat().st_size > 1000 for f in files)
                  and r.stderr.count(b"The voice has changed") == 2, r)


def failed_model(home):
    """A model that cannot be opened changes nothing: backend, KV cache and story stay."""
    library = pathlib.Path(home, "model.db")
    broken = pathlib.Path(home, "broken.gguf")
    broken.write_bytes(pathlib.Path(MODEL).read_bytes()[:5000])
    for model in ("/nonexistent", str(broken)):
        for command in ("/model", "/set model"):
            r = session(home, "--library", library, "--length", "12", text=(
                f"/new\nOnce upon a time\n{command} {model}\n/set backend\n/continue\n/stats\n"
            ).encode())
            output = r.stdout + r.stderr
            common.expect(f"{command} {model}: an error", model.encode() in r.stderr, r)
            common.expect(f"{command} {model}: the backend setting stays",
                          b"backend = reference" in output, r)
            common.expect(f"{command} {model}: the KV cache stays",
                          b" 1 tokens evaluated" in output, r)


def main():
    for test in (failed_model, exports, own_settings, read_only, foreign, version_1, hostile_rows,
                 last_story):
        with common.folder() as home:
            test(home)
    common.done()


main()
