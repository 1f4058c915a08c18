#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`duotale run` with speech, with the model in data/: sound files, errors, and no process left
behind. Needs no sound card: players, recorders and some engines are scripts. Tests that need
espeak-ng or pocketsphinx are skipped, by name.

    spoken.py PROGRAM MODELS_FOLDER
"""
import array
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import wave

PROGRAM = os.path.abspath(sys.argv.pop(1))
MODELS = sys.argv.pop(1)
with open(os.path.join(MODELS, "default"), encoding="utf-8") as named:
    MODEL = os.path.join(MODELS, named.read().strip())
STORY = ["run", MODEL, "-s", "5", "-t", "0.8", "-n", "150", "-i", "Once upon a time"]


def syllables(text):
    """An independent count, by groups of vowels, to check the program's estimate."""
    count = 0
    for word in re.findall(r"[a-z']+", text.lower()):
        groups = len(re.findall(r"[aeiouy]+", word))
        if groups > 1 and re.search(r"[^aeioulytd]ed$|[^aeiouyl]e$", word):
            groups -= 1
        count += max(groups, 1)
    return count


def estimate(text, words_per_minute=160):
    """Seconds: 1.5 syllables a word; at 175 words a minute, a stop adds 0.4 s, a comma 0.2 s."""
    stops = len(re.findall(r"[.!?]+[\"']?(?:\s|$)", text))
    commas = len(re.findall(r"[,;:]\s", text))
    return (syllables(text) * 40 + (0.4 * stops + 0.2 * commas) * 175) / words_per_minute


class Spoken(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="spoken-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.wav = os.path.join(self.folder, "story.wav")
        self.env = {**os.environ, "PATH": self.folder + ":" + os.environ["PATH"],
                    "LC_ALL": "C.UTF-8"}

    def script(self, name, body):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + body + "\n")
        os.chmod(path, 0o700)

    def run_story(self, *arguments, story=STORY, **options):
        if os.path.isfile(self.wav):  # a sound file that exists is not replaced
            os.remove(self.wav)
        return subprocess.run([PROGRAM, *story, *arguments], env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False, **options)

    def read_wav(self):
        with wave.open(self.wav) as w:
            self.assertEqual((w.getnchannels(), w.getsampwidth()), (1, 2))
            samples = array.array("h", w.readframes(w.getnframes()))
            self.assertEqual(len(samples), w.getnframes())
            return samples, len(samples) / w.getframerate()

    def check_story(self, voice):
        silent = self.run_story()
        output = self.run_story("--speak-to", self.wav, "--voice", voice)
        self.assertEqual(output.returncode, 0, output.stderr)
        self.assertEqual(output.stdout, silent.stdout)  # a voice does not change the story
        samples, seconds = self.read_wav()
        expected = estimate(output.stdout)
        self.assertTrue(0.75 * expected < seconds < 1.25 * expected,
                        f"{seconds:.1f} s, expected {expected:.1f}")
        loud = sum(abs(s) > 500 for s in samples) / len(samples)
        self.assertGreater(loud, 0.3)
        self.assertRegex(output.stderr,
                         r"voice \S+: first sound after .* after the first sentence\), "
                         r"(\d+) of \1 sentences, "
                         r".* real-time factor \d.*% of the CPU time")

    def test_tones(self):
        self.check_story("tones")

    def test_espeak(self):
        if not shutil.which("espeak-ng"):
            self.skipTest("espeak-ng is not installed")
        self.check_story("espeak")
        self.check_story("espeak:en-gb+f3")

    def test_flite(self):
        if not shutil.which("flite"):
            self.skipTest("flite is not installed")
        self.check_story("flite:kal")

    def test_speed_and_pitch(self):
        lengths = {}
        for speed in (80, 160, 320):
            self.assertEqual(self.run_story("--speak-to", self.wav, "--voice", "tones",
                                            "--voice-speed", str(speed)).returncode, 0)
            lengths[speed] = self.read_wav()[1]
        self.assertAlmostEqual(lengths[80] / lengths[160], 2, delta=0.02)
        self.assertAlmostEqual(lengths[160] / lengths[320], 2, delta=0.02)
        sounds = set()
        for pitch in (0, 50, 99):
            self.run_story("--speak-to", self.wav, "--voice", "tones", "--voice-pitch", str(pitch))
            sounds.add(bytes(self.read_wav()[0]))
        self.assertEqual(len(sounds), 3)

    def test_figures(self):
        output = self.run_story("--speak-to", self.wav, "--voice", "tones", "--json")
        figures = json.loads(output.stdout.splitlines()[-1])
        voice = figures["voice"]
        self.assertGreater(figures["tok_s"], 0)
        self.assertEqual(voice["name"], "tones")
        self.assertTrue(0 < voice["first_sentence_s"] <= voice["first_sound_s"])
        self.assertTrue(voice["told_s"] <= voice["silent_s"])
        self.assertEqual(voice["sentences"], voice["spoken"])
        self.assertTrue(0 < voice["cpu_share"] < 1 and voice["real_time_factor"] > 0)
        self.assertAlmostEqual(voice["sound_s"], self.read_wav()[1], places=2)

    def test_mistakes(self):
        for arguments, code, says in (
                (["--voice", "nobody", "--speak"], 2, "unknown voice \"nobody\""),
                (["--voice-speed", "10"], 2,
                 "--voice-speed must be between 50 and 400 (got \"10\")"),
                (["--voice-pitch", "x"], 2, "--voice-pitch must be between 0 and 99 (got \"x\")"),
                (["--speak-to", "/nowhere/at/all.wav", "--voice", "tones"], 1,
                 "/nowhere/at/all.wav: cannot be written"),
                (["--ear", "nobody", "--listen"], 0, "unknown ear \"nobody\""),
        ):
            output = self.run_story(*arguments)
            self.assertEqual(output.returncode, code, output.stderr)
            self.assertIn(says, output.stderr)

    def test_no_engine_and_no_card(self):
        """A missing engine or sound card is one line, and the story continues as text."""
        silent = self.run_story()
        self.env["PATH"] = self.folder
        for arguments, code in ((["--speak"], 0), (["--speak-to", self.wav], 1), (["--listen"], 0)):
            output = self.run_story(*arguments)
            self.assertEqual(output.returncode, code, output.stderr)
            self.assertEqual(output.stdout, silent.stdout)
            self.assertIn("not installed", output.stderr)
        self.script("aplay", "echo 'audio open error: Device or resource busy' >&2; exit 1")
        output = self.run_story("--speak", "--voice", "tones")
        self.assertEqual((output.returncode, output.stdout), (0, silent.stdout))
        notice = "Device or resource busy; the story continues as text only"
        self.assertEqual(output.stderr.count(notice), 1)

    def test_hanging_voice(self):
        silent = self.run_story()
        self.script("espeak-ng", "exit 3")
        output = self.run_story("--speak-to", self.wav, "--voice", "espeak")
        self.assertEqual((output.returncode, output.stdout), (1, silent.stdout))
        self.assertEqual(output.stderr.count("the voice failed"), 1)

    def start(self, *arguments):
        return subprocess.Popen([PROGRAM, *STORY, *arguments], env=self.env,
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait_for(self, what, seconds=30):
        """Polls until the value is true; the limit only ends a test that fails."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = what()
            if value:
                return value
            time.sleep(0.01)
        return what()

    def pid_now(self, name):
        """The process id that a script wrote to a file, 0 before."""
        try:
            with open(os.path.join(self.folder, name), encoding="ascii") as f:
                text = f.read()
        except FileNotFoundError:
            return 0
        return int(text) if text.endswith("\n") else 0

    def pid_in(self, name):
        return self.wait_for(lambda: self.pid_now(name))

    @staticmethod
    def is_gone(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def test_killed(self):
        """Its player and its engine end with the program, whatever ends it."""
        self.script("aplay", f"echo $$ >{self.folder}/player; exec sleep 1000")
        self.script("espeak-ng", f"echo $$ >{self.folder}/engine; exec sleep 1000")
        for sent in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            for voice, name in (("tones", "player"), ("espeak", "engine")):
                with self.subTest(signal=sent, child=name):
                    try:
                        os.unlink(os.path.join(self.folder, name))
                    except FileNotFoundError:
                        pass
                    program = self.start("--speak", "--voice", voice)
                    child = self.pid_in(name)
                    self.assertTrue(child)
                    self.assertFalse(self.is_gone(child))
                    program.send_signal(sent)
                    program.communicate()
                    self.assertTrue(self.wait_for(lambda: self.is_gone(child)))

    def test_interrupted(self):
        """Ctrl-C: silence, and the figures."""
        self.script("aplay", f"echo $$ >{self.folder}/player; trap '' INT; sleep 1000")
        program = self.start("--speak", "--voice", "tones")
        player = self.pid_in("player")
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=30)
        self.assertTrue(self.is_gone(player))
        self.assertIn("achieved tok/s", errors)
        self.assertNotIn("voice failed", errors)

    def test_listen(self):
        if not shutil.which("pocketsphinx_continuous") or not shutil.which("espeak-ng"):
            self.skipTest("espeak-ng or pocketsphinx is not installed")
        asked = os.path.join(self.folder, "asked.wav")
        subprocess.run(["espeak-ng", "-v", "en-us", "-w", asked, "Tell me a story about a dragon."],
                       check=True)
        output = self.run_story("--listen", asked, "--json",
                                story=["run", MODEL, "-t", "0", "-n", "40"])
        self.assertEqual(output.returncode, 0, output.stderr)
        self.assertIn("understood: Tell me a story about a dragon.", output.stderr)
        figures = json.loads(output.stdout.splitlines()[-1])
        self.assertTrue(figures["ear"]["converted"] and figures["ear"]["sound_s"] > 1)
        text = "".join(json.loads(line).get("text", "") for line in output.stdout.splitlines())
        self.assertTrue(text.startswith("Tell me a story about a dragon."), text)
        # the board's folder: acoustic model and dictionary, no language model
        installed = "/usr/share/pocketsphinx/model/en-us"
        folder = os.path.join(self.folder, "model", "en-us")
        os.makedirs(folder)
        for name in ("en-us", "cmudict-en-us.dict"):
            os.symlink(os.path.join(installed, name), os.path.join(folder, name))
        self.env["POCKETSPHINX_PATH"] = os.path.dirname(folder)
        output = self.run_story("--listen", asked, story=["run", MODEL, "-t", "0", "-n", "40"])
        self.assertIn("understood: Tell me a story about a dragon.", output.stderr)
        output = self.run_story("--listen", asked, "--ear", "pocketsphinx:free",
                                story=["run", MODEL, "-t", "0", "-n", "40"])
        self.assertEqual(output.returncode, 0, output.stderr)
        self.assertIn(f"any English needs the language model {folder}/en-us.lm.bin", output.stderr)

    def session(self, lines, *arguments):
        home = os.path.join(self.folder, "home")
        os.makedirs(home, exist_ok=True)
        script = os.path.join(self.folder, "lines")
        with open(script, "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))
        return subprocess.run([PROGRAM, "--ui", "plain", "--script", script, "--model", MODEL,
                               "--temperature", "0", "--length", "60", *arguments],
                              env={**self.env, "HOME": home, "XDG_DATA_HOME": home,
                                   "XDG_CONFIG_HOME": home},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                              check=False)

    def test_session(self):
        """A session reads the opening too; /speak and settings take effect with the next turn."""
        output = self.session(["/voice tones", "Once upon a time", "/stats"], "--speak-to",
                              self.wav)
        self.assertEqual(output.returncode, 0, output.stderr)
        self.assertIn("voice tones: first sound after", output.stdout + output.stderr)
        story = "\n".join(line for line in output.stdout.splitlines()
                          if not re.match(r"(generated|prompt|first token|context|"
                                          r"computed by|seed|voice) ", line))
        seconds = self.read_wav()[1]
        self.assertTrue(0.6 * estimate(story) < seconds < 1.4 * estimate(story),
                        (seconds, estimate(story), story))
        self.script("aplay", f"cat >>{self.folder}/heard")
        heard = os.path.join(self.folder, "heard")
        output = self.session(["Once upon a time", "/speak on", "/set voice-speed 320",
                               "The dog ran", "/speak off", "The cat sat"], "--voice", "tones")
        self.assertEqual(output.returncode, 0, output.stderr)
        self.assertIn("read aloud from the next turn on", output.stdout + output.stderr)
        one = os.path.getsize(heard) / 32000
        self.assertTrue(2 < one < 20, one)
        self.script("aplay", "echo 'audio open error: No such file or directory' >&2; exit 1")
        output = self.session(["/speak on", "Once upon a time"], "--voice", "tones")
        printed = output.stdout + output.stderr
        self.assertEqual(printed.count("the story continues as text only"), 1)
        output = self.session(["/voice nobody"])
        self.assertIn('unknown voice "nobody"', output.stdout + output.stderr)

    def test_silence_at_the_prompt(self):
        """Ctrl-C after the turn, while it is read aloud: silence, and the session continues."""
        home = os.path.join(self.folder, "home")
        os.makedirs(home, exist_ok=True)
        self.script("aplay", f"echo $$ >{self.folder}/player; trap '' INT; sleep 1000")
        front_ends = subprocess.run([PROGRAM, "--ui", "none"], stderr=subprocess.PIPE,
                                    check=False).stderr
        if b"line" not in front_ends:
            self.skipTest("this build has no line front end")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(PROGRAM,
                      [PROGRAM, "--ui", "line", "--model", MODEL, "--speak", "--voice", "tones",
                       "--length", "20"],
                      {**self.env, "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home,
                       "TERM": "xterm"})
        screen = bytearray()

        def read():
            while select.select([terminal], [], [], 0)[0]:
                try:
                    screen.extend(os.read(terminal, 4096))
                except OSError:
                    return

        def wait_for(what):
            self.assertTrue(self.wait_for(lambda: read() or what()), bytes(screen[-500:]))

        wait_for(lambda: b"> " in screen)
        os.write(terminal, b"Once upon a time\r")
        wait_for(lambda: self.pid_now("player"))
        player = self.pid_now("player")
        wait_for(lambda: b"tok/s" in screen)  # the turn has ended
        os.write(terminal, b"\x03")
        wait_for(lambda: self.is_gone(player))
        os.write(terminal, b"/quit\r")
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
        os.close(terminal)


if __name__ == "__main__":
    # the program would inherit signals that are ignored here, as in a background job
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    unittest.main()
