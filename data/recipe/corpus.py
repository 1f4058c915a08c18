# SPDX-License-Identifier: MIT
"""The stories: reads and splits them, writes requests for them, and arranges an epoch.

In a story file, a line "<|endoftext|>" follows each story. The validation split is the last
stories of each file; neither tokenizer, topics nor training use them.

A document is a list of (text, is_story, ends) fragments. An end-of-story token follows each
fragment with ends set. Only story text counts in the loss: the user writes the requests.
"""
import collections
import os
import random
import re
import sys

# file: stories in the validation split
FILES = {"tinystories.txt": 400, "tinystories_truecased.txt": 50}
RENAMED = 0.5  # share of the stories of an epoch with other names, against overfitting
VALID_OTHER = 0.02  # validation share when one story file is named instead of a folder
END = "<|endoftext|>"


def stop(message):
    """Exits with code 1 and one line on standard error."""
    sys.exit("recipe: " + message)


def read_stories(path):
    """-> (training stories, validation stories) of a corpus folder or one story file."""
    if os.path.isdir(path):
        files = [(os.path.join(path, f), n) for f, n in FILES.items()]
    else:
        files = [(path, None)]
    train, valid = [], []
    for name, held in files:
        try:
            with open(name, encoding="utf-8") as f:
                text = f.read()
        except (OSError, UnicodeDecodeError) as e:
            stop(f"cannot read the stories in {name}: {e}; name a corpus folder or a story file")
        stories = [s.strip() for s in text.split(END) if s.strip()]
        if len(stories) < 20:
            stop(f"{name} has {len(stories)} stories separated by {END} lines; "
                 "at least 20 are needed")
        n = held if held and held < len(stories) // 2 else max(4, int(len(stories) * VALID_OTHER))
        train += stories[:-n]
        valid += stories[-n:]
    return train, valid


# What a story is about, derived from the neighbours of its words.

DETERMINERS = set("a an the his her their my your our this that some".split())
AFTER_NOUN = set("""and was is that with in on to had for who but from of at were said because so
 would could or as when then named called into near by has did went wanted came looked""".split())
ADJECTIVES = set("""big red little blue green yellow pink purple white black brown small tiny old
 new pretty beautiful shiny happy sad brave kind funny silly soft fluffy magic magical special
 tall long round warm cold hot loud quiet friendly hungry lost strange colorful golden orange
 huge wise clever gentle tasty yummy sweet lonely lazy fast slow strong scary dark bright wooden
 fancy delicious dirty clean wet fat thin young grumpy curious naughty broken""".split())
NOT_TOPICS = set("""day time one girl boy man woman people thing things something lot way end top
 side story moral same other bit next best first sun rest moment minute while mom mommy dad daddy
 name idea fun hand hands face eyes head family friend friends home house place world life back
 morning night afternoon smile voice help inside outside everyone everything right left more
 most good great nice many much few different front middle part kinds kind whole only mother
 father parents kids children arms feet mouth feelings heart person lesson sound job last
 problem turn others way""".split())
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|[.,!?;\"]")


class Topics:
    """Words that requests can name: nouns and names, derived from the training stories."""

    def __init__(self, stories, least=12):
        seen, after_det, before_end = (collections.Counter() for _ in range(3))
        self.df = collections.Counter()
        capital, lower = collections.Counter(), collections.Counter()
        for s in stories:
            w = WORD.findall(s)
            self.df.update(set(x.lower() for x in w if x[0].isalpha()))
            for i in range(1, len(w) - 1):
                x = w[i]
                if x[0].isupper():
                    capital[x] += w[i - 1][0].islower() and w[i - 1][0].isalpha()
                    continue
                lower[x] += 1
                seen[x] += 1
                before = w[i - 1].lower()
                after_det[x] += before in DETERMINERS or before in ADJECTIVES
                before_end[x] += not w[i + 1][0].isalpha() or w[i + 1] in AFTER_NOUN
        self.nouns = {x for x, n in seen.items()
                      if n >= least and self.df[x] >= least and len(x) > 2 and "'" not in x
                      and after_det[x] >= 0.45 * n and before_end[x] >= 0.5 * n
                      and x not in NOT_TOPICS and x not in ADJECTIVES and x not in AFTER_NOUN
                      and x not in DETERMINERS}
        self.names = {x for x, n in capital.items()
                      if n >= least and len(x) > 2 and n > 4 * lower[x.lower()] and "'" not in x
                      and x.lower() not in NOT_TOPICS}
        self.names -= {"Mom", "Dad", "Mommy", "Daddy", "Mama", "Papa", "Mummy", "The", "Yes",
                       "Okay"}

        self.pools = self.by_pronoun(stories)

    def by_pronoun(self, stories, least=12):
        """({name: weight}, {name: weight}): names used with she, and with he"""
        votes = collections.defaultdict(lambda: [0, 0])
        for s in stories:
            w = WORD.findall(s)
            names = self.names.intersection(w)
            if len(names) == 1:
                votes[names.pop()][sum(x in HE for x in w) > sum(x in SHE for x in w)] += 1
        pools = ({}, {})
        for name, (she, he) in votes.items():
            if max(she, he) >= max(least, 4 * min(she, he)) and name not in DAYS:
                pools[he > she][name] = self.df[name.lower()]
        return pools

    def rename(self, story, rng):
        """The same story with other names, drawn with the frequencies of the corpus"""
        new = {}
        for name in sorted(self.names.intersection(WORD.findall(story))):
            pool = next((p for p in self.pools if name in p), None)
            if pool:
                free = [x for x in pool if x not in new.values()]
                new[name] = rng.choices(free, [pool[x] for x in free])[0] if free else name
        if not new:
            return story
        pattern = r"\b(" + "|".join(new) + r")\b"
        return re.sub(pattern, lambda m: new[m.group()], story)

    def of(self, story, rng, count):
        """Up to count things that the story is about, as (phrase, [words])"""
        w = WORD.findall(story)
        uses = collections.Counter(x for x in w if x in self.nouns or x in self.names)
        if not uses:
            return []
        key = lambda x: rng.random() ** (self.df[x.lower()] ** 0.3 / uses[x])
        chosen = sorted(uses, key=key, reverse=True)[:count]
        rng.shuffle(chosen)
        return [self.phrase(x, w, rng) for x in chosen]

    def phrase(self, x, w, rng):
        if x in self.names:
            for i in range(2, len(w)):
                if w[i] == x and w[i - 1] in ("named", "called") and w[i - 2] in KINDS:
                    if rng.random() < 0.6:
                        return f"{article(w[i - 2])} named {x}", [x]
                    break
            return x, [x]
        described = [w[i - 1] for i in range(1, len(w)) if w[i] == x and w[i - 1] in ADJECTIVES]
        if described and rng.random() < 0.5:
            a = rng.choice(described)
            return article(a, x) + " " + x, [a, x]
        return article(x), [x]


SHE, HE = {"she", "She", "her", "Her"}, {"he", "He", "his", "His", "him", "Him"}
DAYS = set("Sunday Monday Tuesday Wednesday Thursday Friday Saturday Christmas".split())
KINDS = set("""girl boy dog cat bird bear rabbit bunny mouse fish frog man woman lady duck fox
 puppy kitten monkey lion elephant squirrel pig horse cow child princess""".split())
MASS = set("""water sand snow mud milk bread food money music rain grass wood paint paper juice
 honey soup cheese rice ice ink dirt hair fruit butter gold salt sugar sunshine fire jam
 glue medicine furniture chocolate""".split())


def article(word, noun=None):
    noun = noun or word
    if noun in MASS or (noun.endswith("s") and not noun.endswith("ss") and noun != "bus"):
        return word
    return ("an " if word[0] in "aeiou" else "a ") + word


REQUESTS = """Tell me a story about {}.|Tell me a story about {}|tell me a story about {}
Tell me about {}.|Tell me a tale about {}.|Tell me a bedtime story about {}.|Tell a story about {}.
Please tell me a story about {}.|Can you tell me a story about {}?
Could you tell me a story about {}?|Can you tell a story about {}?|I want a story about {}.
I want to hear a story about {}.
I would like a story about {}.|I'd like to hear about {}.|Write a story about {}.
Write a short story about {}.|Write a story with {}.|Write me a story about {}.|A story about {}.
A story about {}, please.|a story about {}|A story with {}, please.|Make up a story about {}.
Make a story with {} in it.|Do you know a story about {}?|Let's have a story about {}.
Read me a story about {}.|How about a story with {}?|Give me a story about {}.|{}|{}, please.
Tell me a short story with {}.|Tell me something about {}.|Hi! Tell me a story about {}.
Hello, can you tell me a story about {}?|Once more, a story about {}, please."""
REQUESTS = [t for line in REQUESTS.splitlines() for t in line.split("|")]
ANOTHER = """Tell me another one.|Tell me another one.|Tell me another story.|Another one, please.
Another story, please.|Another one!|One more, please.|Can you tell me another one?
tell me another one|Tell me one more story.|Please tell me another story."""
ANOTHER = [t for line in ANOTHER.splitlines() for t in line.split("|")]
ANOTHER_OF = ["Tell me another one about {}.", "Now tell me a story about {}.", "And one about {}?",
              "Another one about {}, please.", "Now one about {}."]
NEXT = """What happened next?|What happened next?|What happened next?|And then?|Then what happened?
What happened then?|Go on.|Go on, please.|And then what happened?|what happened next
Continue the story.|Please go on.|Tell me more.|What did they do next?"""
NEXT = [t for line in NEXT.splitlines() for t in line.split("|")]


def join(phrases):
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def request(topics, story, rng, forms=None):
    """-> (a request for this story, the words it names), or None."""
    things = topics.of(story, rng, rng.choice((1, 1, 2, 2, 3)))
    if not things:
        return None
    words = [x for _, ws in things for x in ws]
    form = rng.choice(forms or REQUESTS)
    text = form.format(join([p for p, _ in things]))
    if form.startswith("{}") and rng.random() < .7:
        text = text[0].upper() + text[1:]
    return text, words


def part(story, rng):
    """A position between 30 % and 85 % of a story where it can be split in two turns, or None."""
    places = [m.end() for m in re.finditer(r"[.!?\"]\n", story)
              if 0.3 * len(story) < m.end() < 0.85 * len(story)]
    return rng.choice(places) if places else None


def opening(story, rng):
    """The beginning of the story, as a user might type it instead of a request."""
    words = story.split("\n")[0].split(" ")
    text = " ".join(words[:rng.randint(3, 16)]).rstrip(",;:\"")
    return text + rng.choice(("", "", "...", "," if text[-1].isalnum() else ""))


def documents(stories, topics, seed):
    """The documents of one epoch in a fixed order: every story once, about half with a request."""
    rng = random.Random(seed)
    order = list(stories)
    rng.shuffle(order)
    waiting = None  # the first half of a pair
    for s in order:
        kind = rng.random()
        if rng.random() < RENAMED:
            s = topics.rename(s, rng)
        asked = request(topics, s, rng)
        ask = asked[0] + "\n\n" if asked else None
        if kind < 0.43 or not ask:
            yield [(s, True, True)]
        elif kind < 0.48:
            yield [(opening(s, rng) + "\n\n", False, False), (s, True, True)]
        elif kind < 0.83 or len(s) > 1500:
            yield [(ask, False, False), (s, True, True)]
        elif kind < 0.90:
            cut = part(s, rng)
            if cut:
                first = (ask, False, False) if rng.random() < 0.7 else ("", False, False)
                yield [first, (s[:cut].rstrip(), True, True),
                       (rng.choice(NEXT) + "\n\n", False, False), (s[cut:], True, True)]
            else:
                yield [(ask, False, False), (s, True, True)]
        elif waiting is None or len(waiting[1]) + len(s) > 1700:
            if waiting:
                yield [(waiting[0], False, False), (waiting[1], True, True)]
            waiting = (ask, s)
        else:
            again = rng.choice(ANOTHER) if rng.random() < 0.6 else None
            if not again:
                again = (request(topics, s, rng, ANOTHER_OF) or (rng.choice(ANOTHER),))[0]
            yield [(waiting[0], False, False), (waiting[1], True, True),
                   (again + "\n\n", False, False), (s, True, True)]
            waiting = None
    if waiting:
        yield [(waiting[0], False, False), (waiting[1], True, True)]


def tokens(document, encode, bos=1, eos=2):
    """-> (ids, counts): counts[i] is 1 if predicting ids[i] is part of the loss.

    A request and the story that answers it are tokenised as one text, as the program does. The
    line breaks between them are byte tokens, and no merge crosses them.
    """
    ids, counts, text = [bos], [0], ""
    for t, is_story, ends in document:
        if not is_story:
            text += t
            continue
        asked = encode(text) if text else []
        both = encode(text + t)
        if both[:len(asked)] != asked:
            raise ValueError("a token crosses the end of a request: " + text)
        ids += both + ([eos] if ends else [])
        counts += [0] * len(asked) + [1] * (len(both) - len(asked)) + ([1] if ends else [])
        text = ""
    return ids, counts
