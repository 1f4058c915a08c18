#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Derives story.gram, the grammar of story requests, from the default model's training corpus.

Usage: grammar.py CORPUS_FOLDER PRONUNCIATION_DICTIONARY > story.gram

The grammar has the nouns that follow an article in at least COMMON stories of the corpus and that
the recogniser has a pronunciation of. Nouns differ from adjectives by the word after them ("a dog
ran", "a dog.", but not "a big."). Plurals are left out, as requests use the singular. The output is
committed, so that a build needs neither the corpus nor this script.
"""
import collections
import re
import sys

COMMON = 22   # stories that a word must occur in, after an article
LARGEST = 120  # words of the grammar, most common first: more need memory and reduce accuracy

ARTICLES = ("a", "an")

# Frequent in requests of children; the corpus mostly has them after "the", or by other names.
ASKED_FOR = """king queen knight witch giant wizard pirate ghost wolf whale shark lion tiger pig
sheep chicken hen owl moon robot rocket castle dinosaur mermaid fairy kitten teddy zebra giraffe
crocodile penguin""".split()

# Words that follow a noun, but rarely an adjective.
AFTER_NOUN = set(""", . ! ? " and or was were is had has who that which with in on at to from of for
called named so but said did went came saw ran looked because when where would could""".split())

# Nouns by position that are no topic of a story, and words for relatives of a person.
LEFT_OUT = set("""time day night lot way bit while moment idea thing something piece place one job
look week year hug smile kiss break turn walk ride trip drink bite nap show try sound voice noise
word name problem surprise reason chance help end top side back front middle morning afternoon
evening hand head face eye arm leg mouth nose finger foot hair tail body tummy tear breath line
hole pile few second minute hour group pair part kind great little big nice good new old small
boring special special lesson rule question promise wish favor mess fun step jump swing game rest
cry splash sign spot world home house's rescue party's couple bunch man's adventure's feeling deal
mistake mum mom dad mommy daddy mama same next other others most first last best inside outside
right left air ground floor corner edge bottom wind's plan treat fight race hurry answer before
came full sudden there together too went again out crack gust knock pain aid shape patch roar
difference stuck label card collar task reward number pattern needle drive leash envelope tool note
helper cloth coin crab bandage brush chest creature dance dinner field hill joke journey light lock
match message meal party person plant plate seat song team shelf person restaurant chair bench
branch letter row horn yard jar sack pot circle slide stick pond net path towel dress scarf shirt
bowl cup spoon cage glass bag bone rope bath bell bow bug coat nest paper pen puddle slide snack
stone store street table wave window heart leaf loud sad happy safe quiet ready important shiny
soft green red blue yellow brown black white orange pink purple""".split())


def stories(folder):
    for name in ("tinystories.txt", "tinystories_truecased.txt"):
        with open(f"{folder}/{name}", encoding="ascii") as f:
            yield from f.read().split("<|endoftext|>\n")


def main():
    folder, dictionary = sys.argv[1:]
    with open(dictionary, encoding="utf-8") as f:
        spoken = {line.split()[0] for line in f if line.strip()}
    seen = collections.Counter()
    ends = collections.Counter()
    uses = collections.Counter()
    for story in stories(folder):
        tokens = re.findall(r"[a-z]+(?:'[a-z]+)?|[.,!?\"]", story.lower())
        asked = set()
        for i in range(1, len(tokens) - 1):
            word = tokens[i]
            if len(word) < 3 or not word.isalpha():
                continue
            before = tokens[i - 1]
            if before in ARTICLES or (i > 1 and tokens[i - 2] in ARTICLES and before.isalpha()):
                uses[word] += 1
                if tokens[i + 1] in AFTER_NOUN:
                    ends[word] += 1
                    asked.add(word)
        seen.update(asked)
    nouns = [w for w, n in seen.most_common()
             if n >= COMMON and ends[w] >= 0.55 * uses[w] and w in spoken and w not in LEFT_OUT
             and not w.endswith(("ed", "ing"))
             and not (w.endswith("s") and not w.endswith(("ss", "us")))]
    anywhere = collections.Counter()
    for story in stories(folder):
        anywhere.update(set(re.findall(r"[a-z]+", story.lower())) & set(ASKED_FOR))
    asked_for = [w for w in ASKED_FOR
                 if anywhere[w] >= COMMON and w in spoken and w not in nouns[:LARGEST]]
    for word in asked_for:
        seen[word] = max(seen[word], anywhere[word] // 2)
    nouns = sorted(nouns[:LARGEST] + asked_for)

    print("#JSGF V1.0;")
    print("// Requests for a story. Written by grammar.py from the default model's corpus;"
          " edit that.")
    print("grammar story;")
    print("public <request> = <ask> <thing> [ and <thing> ] [ please ];")
    print("<ask> = [ please ] tell me [ a story ] about | can you tell me a story about"
          " | [ please ] tell a story about")
    print("      | i want a story about | write a story with | a story about;")
    print("<thing> = a <consonant> | an <vowel>;")
    for rule, chosen in (("consonant", [w for w in nouns if w[0] not in "aeiou" or w == "unicorn"]),
                         ("vowel", [w for w in nouns if w[0] in "aeiou" and w != "unicorn"])):
        line, lines = f"<{rule}> =", []
        for i, word in enumerate(chosen):
            # frequent topics are more probable in requests
            weight = f" /{(seen[word] / seen.most_common(1)[0][1]) ** 0.5:.2f}/ {word}"
            item = weight if i == 0 else " |" + weight
            if len(line) + len(item) > 98:
                lines.append(line)
                line = "   "
            line += item
        print("\n".join(lines + [line + ";"]))


if __name__ == "__main__":
    main()
