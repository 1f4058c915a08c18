// SPDX-License-Identifier: MIT
// The commands, one row each. A new command is a row here and a function in one of
// commands/commands_*.c.
//
//     COMMAND(name, arguments, help, what Tab offers, where it runs (the function))
//
// Included once for the names (settings/command_table.c) and once for the functions
// (commands/commands.c), each with its own COMMAND. Where a command runs:
//
//     UI(f)        at once, on the front end's thread
//     FRONT_END(f) the same, unless the front end has a command of this name
//     LIVE(f)      on the worker, between two tokens if it is generating
//     STOP(f)      on the worker, after what runs has been stopped
//
// No include guard.
// clang-format off
COMMAND("help", "[command]",
        "What can be said, or more about one command or setting.",
        COMMAND, FRONT_END(dt_command_help))
COMMAND("quit", "",
        "Leaves; the story is kept.",
        NONE, UI(dt_command_quit))
COMMAND("new", "",
        "Begins a new story; the old one stays in the library.",
        NONE, STOP(dt_command_new))
COMMAND("continue", "",
        "Goes on where the story was stopped or cut.",
        NONE, STOP(dt_command_continue))
COMMAND("retry", "",
        "Tells the last turn again, with another seed.",
        NONE, STOP(dt_command_retry))
COMMAND("undo", "",
        "Takes the last turn back.",
        NONE, STOP(dt_command_undo))
COMMAND("edit", "",
        "Puts the last text into the input line; the story goes on from what you make of it.",
        NONE, STOP(dt_command_edit))
COMMAND("set", "[name [value]]",
        "Shows or changes a setting; sampling obeys from the next token on.",
        SETTING, UI(dt_command_set))
COMMAND("save-settings", "",
        "Writes the settings that differ from their defaults to the configuration file.",
        NONE, UI(dt_command_save_settings))
COMMAND("backend", "[stack]",
        "Lists what can compute, or goes on with another stack, in mid-story too.",
        BACKEND, UI(dt_command_backend))
COMMAND("compare", "stack stack",
        "Tells the same story greedily with both: speed of each, where the texts first differ.",
        BACKEND, STOP(dt_command_compare))
COMMAND("model", "[file]",
        "Lists models, or opens another one; the story stays.",
        MODEL, UI(dt_command_model))
COMMAND("threads", "n",
        "Computes with so many threads; 0 chooses.",
        NONE, UI(dt_command_threads))
COMMAND("stats", "[off|turn|live]",
        "The figures of the last turn; or when they are shown (live on, live off work too).",
        STATS, UI(dt_command_stats))
COMMAND("memory", "",
        "Where the memory goes.",
        NONE, LIVE(dt_command_memory))
COMMAND("library", "[search]",
        "Lists the stories that hold these words, or the newest.",
        NONE, UI(dt_command_library))
COMMAND("open", "[n]",
        "Goes on with story n of the library, or with the last one.",
        STORY, STOP(dt_command_open))
COMMAND("export", "[n] file",
        "Writes the story to a file: .md, .txt or .json.",
        FILE, LIVE(dt_command_export))
COMMAND("rename", "title",
        "Gives the story another title.",
        NONE, LIVE(dt_command_rename))
COMMAND("delete", "[n]",
        "Deletes the story, or story n, from the library, after asking.",
        STORY, UI(dt_command_delete))
COMMAND("pin", "[text]",
        "A premise that is never dropped from the context; \"-\" takes it away.",
        NONE, STOP(dt_command_pin))
COMMAND("system", "[text]",
        "What the model is told before a chat; \"-\" takes it away.",
        NONE, UI(dt_command_system))
COMMAND("seed", "[n]",
        "Where the dice start; 0: another one each time.",
        NONE, UI(dt_command_seed))
COMMAND("speak", "on|off",
        "Reads the story aloud.",
        ON_OFF, UI(dt_command_speak))
COMMAND("voice", "[name]",
        "Lists what can read aloud and what can listen, or chooses who reads.",
        VOICE, UI(dt_command_voice))
COMMAND("listen", "[off|file.wav]",
        "Listens to the microphone, or to a sound file; what was understood can be edited before it is told.",
        FILE, UI(dt_command_listen))
COMMAND("script", "file",
        "Plays the lines of a file as if they were typed.",
        FILE, FRONT_END(dt_command_script))
COMMAND("private", "on|off",
        "Writes nothing from now on, or writes again.",
        ON_OFF, UI(dt_command_private))
#undef COMMAND
