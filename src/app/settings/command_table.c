// SPDX-License-Identifier: MIT
// Data only: the manual's generator is built from this file too.
#include "app/settings/command_ids.h"

static const struct dt_command table[] = {
    {"help", "[command]", "What can be said, or more about one command or setting.", DT_COMPLETE_COMMAND, DT_COMMAND_HELP},
    {"quit", "", "Leaves; the story is kept.", DT_COMPLETE_NONE, DT_COMMAND_QUIT},
    {"new", "", "Begins a new story; the old one stays in the library.", DT_COMPLETE_NONE, DT_COMMAND_NEW},
    {"continue", "", "Goes on where the story was stopped or cut.", DT_COMPLETE_NONE, DT_COMMAND_CONTINUE},
    {"retry", "", "Tells the last turn again, with another seed.", DT_COMPLETE_NONE, DT_COMMAND_RETRY},
    {"undo", "", "Takes the last turn back.", DT_COMPLETE_NONE, DT_COMMAND_UNDO},
    {"edit", "", "Puts the last text into the input line; the story goes on from what you make of it.", DT_COMPLETE_NONE,
     DT_COMMAND_EDIT},
    {"set", "[name [value]]", "Shows or changes a setting; sampling obeys from the next token on.", DT_COMPLETE_SETTING,
     DT_COMMAND_SET},
    {"save-settings", "", "Writes the settings that differ from their defaults to the configuration file.", DT_COMPLETE_NONE,
     DT_COMMAND_SAVE_SETTINGS},
    {"backend", "[stack]", "Lists what can compute, or goes on with another stack, in mid-story too.", DT_COMPLETE_BACKEND,
     DT_COMMAND_BACKEND},
    {"compare", "stack stack", "Tells the same story greedily with both: speed of each, where the texts first differ.",
     DT_COMPLETE_BACKEND, DT_COMMAND_COMPARE},
    {"model", "[file]", "Lists models, or opens another one; the story stays.", DT_COMPLETE_MODEL, DT_COMMAND_MODEL},
    {"threads", "n", "Computes with so many threads; 0 chooses.", DT_COMPLETE_NONE, DT_COMMAND_THREADS},
    {"stats", "[off|turn|live]", "The figures of the last turn; or when they are shown (live on, live off work too).",
     DT_COMPLETE_STATS, DT_COMMAND_STATS},
    {"memory", "", "Where the memory goes.", DT_COMPLETE_NONE, DT_COMMAND_MEMORY},
    {"library", "[search]", "Lists the stories that hold these words, or the newest.", DT_COMPLETE_NONE, DT_COMMAND_LIBRARY},
    {"open", "[n]", "Goes on with story n of the library, or with the last one.", DT_COMPLETE_STORY, DT_COMMAND_OPEN},
    {"export", "[n] file", "Writes the story to a file: .md, .txt or .json.", DT_COMPLETE_FILE, DT_COMMAND_EXPORT},
    {"rename", "title", "Gives the story another title.", DT_COMPLETE_NONE, DT_COMMAND_RENAME},
    {"delete", "[n]", "Deletes the story, or story n, from the library, after asking.", DT_COMPLETE_STORY, DT_COMMAND_DELETE},
    {"pin", "[text]", "A premise that is never dropped from the context; \"-\" takes it away.", DT_COMPLETE_NONE,
     DT_COMMAND_PIN},
    {"system", "[text]", "What the model is told before a chat; \"-\" takes it away.", DT_COMPLETE_NONE, DT_COMMAND_SYSTEM},
    {"seed", "[n]", "Where the dice start; 0: another one each time.", DT_COMPLETE_NONE, DT_COMMAND_SEED},
    {"speak", "on|off", "Reads the story aloud.", DT_COMPLETE_ON_OFF, DT_COMMAND_SPEAK},
    {"voice", "[name]", "Lists what can read aloud and what can listen, or chooses who reads.", DT_COMPLETE_VOICE, DT_COMMAND_VOICE},
    {"listen", "[off|file.wav]", "Listens to the microphone, or to a sound file; what was understood can be edited before it is told.",
     DT_COMPLETE_FILE, DT_COMMAND_LISTEN},
    {"script", "file", "Plays the lines of a file as if they were typed.", DT_COMPLETE_FILE, DT_COMMAND_SCRIPT},
    {"private", "on|off", "Writes nothing from now on, or writes again.", DT_COMPLETE_ON_OFF, DT_COMMAND_PRIVATE},
};

const struct dt_command *dt_command_table(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}
