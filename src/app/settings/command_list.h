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
        "Lists the commands, or describes one command or setting.",
        COMMAND, FRONT_END(dt_command_help))
COMMAND("quit", "",
        "Quits; the story is saved.",
        NONE, UI(dt_command_quit))
COMMAND("new", "",
        "Begins a new story; the present one stays in the library.",
        NONE, STOP(dt_command_new))
COMMAND("continue", "",
        "Continues a story that was stopped or cut off.",
        NONE, STOP(dt_command_continue))
COMMAND("retry", "",
        "Generates the last turn again, with another seed.",
        NONE, STOP(dt_command_retry))
COMMAND("undo", "",
        "Removes the last turn.",
        NONE, STOP(dt_command_undo))
COMMAND("edit", "",
        "Puts the last text into the input line; the story continues from the edited text.",
        NONE, STOP(dt_command_edit))
COMMAND("set", "[name [value]]",
        "Shows or changes a setting; sampling settings take effect with the next token.",
        SETTING, UI(dt_command_set))
COMMAND("save-settings", "",
        "Writes the settings that differ from their defaults to the configuration file.",
        NONE, UI(dt_command_save_settings))
COMMAND("backend", "[stack]",
        "Lists the backends, or continues with another stack of them.",
        BACKEND, UI(dt_command_backend))
COMMAND("compare", "stack stack",
        "Generates the same text with two stacks, or on a server (its address): their speeds, and "
        "where the texts first differ.",
        BACKEND, STOP(dt_command_compare))
COMMAND("model", "[file]",
        "Lists the models, or opens another one; the story stays.",
        MODEL, UI(dt_command_model))
COMMAND("threads", "n",
        "Sets the number of computing threads; 0: automatic.",
        NONE, UI(dt_command_threads))
COMMAND("stats", "[off|turn|live]",
        "Shows the figures of the last turn, or sets when they are shown.",
        STATS, UI(dt_command_stats))
COMMAND("memory", "",
        "Shows what uses how much memory.",
        NONE, LIVE(dt_command_memory))
COMMAND("context", "",
        "Shows what of the story is in the context: pinned, dropped and kept.",
        NONE, LIVE(dt_command_context))
COMMAND("library", "[search]",
        "Lists the stories that contain these words, or the newest.",
        NONE, UI(dt_command_library))
COMMAND("open", "[n]",
        "Opens story n of the library, or the last one.",
        STORY, STOP(dt_command_open))
COMMAND("export", "[--thoughts] [n] file",
        "Writes the story, or story n, to a file: .md, .txt or .json; a model's thoughts only with "
        "--thoughts.",
        FILE, UI(dt_command_export))
COMMAND("rename", "title",
        "Gives the story another title.",
        NONE, LIVE(dt_command_rename))
COMMAND("delete", "[n]",
        "Deletes the story, or story n, from the library, after asking.",
        STORY, UI(dt_command_delete))
COMMAND("pin", "[text]",
        "Pins a premise, which stays in the context; \"-\" removes it.",
        NONE, STOP(dt_command_pin))
COMMAND("premise", "[text]",
        "The same as /pin.",
        NONE, STOP(dt_command_pin))
COMMAND("system", "[text]",
        "Sets the system prompt of a chat; \"-\" removes it.",
        NONE, UI(dt_command_system))
COMMAND("seed", "[n]",
        "Shows the last seed, or sets it; 0: a new seed for each turn.",
        NONE, UI(dt_command_seed))
COMMAND("speak", "on|off",
        "Reads stories aloud, or stops doing so.",
        ON_OFF, UI(dt_command_speak))
COMMAND("voice", "[name]",
        "Lists the voices and the speech recognition, or chooses the voice.",
        VOICE, UI(dt_command_voice))
COMMAND("listen", "[off|file.wav]",
        "Recognises speech from the microphone or a sound file, as a prompt that can be edited.",
        FILE, UI(dt_command_listen))
COMMAND("script", "file",
        "Enters the lines of a file as if they were typed.",
        FILE, FRONT_END(dt_command_script))
COMMAND("private", "on|off",
        "Saves nothing from now on, or saves again.",
        ON_OFF, UI(dt_command_private))
#undef COMMAND
