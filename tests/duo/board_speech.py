# SPDX-License-Identifier: MIT
"""Tests the add-ons on the emulated board: a story read into a WAV file and through a sound card, a
recognised request, and the memory that they need.

The WAV file is a disk of the machine, and QEMU writes the sound of its card to a file, so that the
host can check both. "least MemAvailable" is the smallest value of the board's kernel; watch.c reads
it every 20 ms and needs 0.6 MB of that memory.
"""
import array
import io
import re
import subprocess
import wave

MODULES = ["snd-hda-codec-generic", "snd-hda-intel"]
WATCHED = ["bin/duotale", "espeak-ng", "aplay", "pocketsphinx_continuous"]
REQUEST = "Tell me a story about a dragon and a princess."
STORY = "-t 0.9 -s 1 -n 150 --stop bos -i 'Once upon a time'"


def compile_watch(work, to):
    source = __file__.replace("board_speech.py", "watch.c")
    subprocess.run([work / "sysroot/usr/bin/riscv64-linux-gnu-gcc-14", f"--sysroot={work}/sysroot",
                    "-march=rv64gc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s",
                    "-o", to, source], check=True)


def devices(stage):
    """QEMU options: an empty disk for the WAV file, and a sound card that writes to a file."""
    (stage / "story.img").write_bytes(bytes(12 << 20))
    return ["-drive", f"file={stage}/story.img,format=raw,if=none,id=s",
            "-device", "virtio-blk-device,drive=s",
            "-audiodev", f"wav,id=card,path={stage}/card.wav,out.frequency=22050,out.channels=1",
            "-device", "intel-hda", "-device", "hda-output,audiodev=card"]


def watched(console, command, seconds):
    """Runs a command. Returns its output and in kB {name: (most resident, anonymous, runs)} and the
    least MemAvailable."""
    console.run("mkfifo /tmp/end 2>/dev/null; /watch " + " ".join(WATCHED) +
                " </tmp/end >/tmp/watched & exec 8>/tmp/end; usleep 100000")
    out = console.run(f"{command}; echo code $?", seconds)
    figures = console.run("exec 8>&-; wait; cat /tmp/watched", 30)
    rows = re.findall(r"^(\S+): most resident (\d+) kB, of which anonymous (\d+) kB, runs (\d+)",
                      figures, re.M)
    parts = {name: tuple(int(n) for n in numbers) for name, *numbers in rows}
    least = re.search(r"least MemAvailable: (\d+)", figures)
    return out, parts, int(least.group(1)) if least else -1


def figures_line(parts, least):
    used = [f"{name.rsplit('/')[-1]} {r} kB resident ({a} anonymous)"
            for name, (r, a, n) in parts.items() if n]
    return ", ".join(used) + f"; least MemAvailable {least} kB"


def loud(samples):
    return sum(abs(s) > 500 for s in samples) / max(len(samples), 1)


def written_story(stage):
    """(seconds, share of loud samples) of the WAV at the start of the disk; (0, 0) unless it is a
    mono WAV of 16 bits."""
    try:
        with wave.open(io.BytesIO((stage / "story.img").read_bytes())) as w:
            if (w.getnchannels(), w.getsampwidth()) != (1, 2):
                return 0, 0
            samples = array.array("h", w.readframes(w.getnframes()))
            return len(samples) / w.getframerate(), loud(samples)
    except (wave.Error, EOFError):
        return 0, 0


def loud_seconds(stage):
    """Seconds of loud samples that the card played. QEMU writes the lengths in the WAV header only
    when it ends, so everything after the header counts as samples."""
    data = (stage / "card.wav").read_bytes()[44:]
    samples = array.array("h", data[:len(data) // 2 * 2])
    return sum(abs(s) > 500 for s in samples) / 22050


def check(console, need, stage, megabytes):
    """Uses the sound card only with the larger memory: the drivers of the emulated card, which is
    one of desktop machines, need 6.6 MB; those of the board's cards need less."""
    listed = console.run("./duotale voices", 60)
    need(re.search(r"espeak +espeak-ng;", listed) is not None, "the add-on's espeak-ng is found")
    into_a_file(console, need, stage)
    if megabytes > 100:
        through_the_card(console, need, stage)
    listening(console, need)


def into_a_file(console, need, stage):
    command = f"./duotale run {STORY} --speak-to /dev/vdb --voice espeak"
    out, parts, least = watched(console, command, 400)
    need("code 0" in out and len(out) > 400, "generates a story and reads it into a WAV file")
    print("board: reading into a file: " + figures_line(parts, least))
    print("board: " + " | ".join(line for line in out.splitlines()
                                 if line.startswith(("achieved", "voice "))))
    said = re.search(r"(\d+) of (\d+) sentences, ([\d.]+) s of sound", out)
    need(said is not None and said.group(1) == said.group(2), "reads every sentence")
    need(least > 2 * 1024, f"MemAvailable stays above 2 MB (least {least} kB)")
    console.run("sync")
    seconds, share = written_story(stage)
    need(said is not None and abs(seconds - float(said.group(3))) < 0.2 and share > 0.2,
         f"the WAV file is valid and not silent: {seconds:.1f} s, {100 * share:.0f} % of it loud")


def through_the_card(console, need, stage):
    console.run("for m in $(cat /modules-sound/order); do insmod /modules-sound/$m; done", 60)
    out, parts, least = watched(console, f"./duotale run {STORY} -n 40 --speak --voice espeak", 200)
    need("code 0" in out and "in text" not in out and "voice failed" not in out,
         "reads a story through aplay and the card")
    print("board: reading through the card: " + figures_line(parts, least))
    seconds = loud_seconds(stage)
    need(seconds > 3, f"the card plays it: {seconds:.1f} s of loud samples")


def listening(console, need):
    console.run(f"tools/espeak-ng -v en-us --stdout '{REQUEST}' >/tmp/asked.wav", 60)
    command = "./duotale run -t 0 -n 20 --listen /tmp/asked.wav </dev/null"
    out, parts, least = watched(console, command, 400)
    print("board: listening: " + figures_line(parts, least))
    print("board: " + " | ".join(line for line in out.splitlines()
                                 if line.startswith(("understood", "ear ", "duotale:"))))
    need("understood: " + REQUEST in out, "the ear recognises a request")
    need(least > 2 * 1024, f"MemAvailable stays above 2 MB (least {least} kB)")
