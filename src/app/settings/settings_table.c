// SPDX-License-Identifier: MIT
// Data only: the manual's generator is built from this file too.
#include "app/settings/settings.h"

#define MILLION 1048576.0

static const struct dt_setting table[DT_SET_COUNT] = {
    [DT_SET_MODEL] =
        {"model", 0, DT_SETTING_FILE, DT_SETTING_MODEL, 0, 0, 0, "", NULL, "FILE", "Model",
         "The model file: llama2.c (.bin) or GGUF; empty: the one that came with the program."},
    [DT_SET_TOKENIZER] =
        {"tokenizer", 'z', DT_SETTING_FILE, DT_SETTING_MODEL, 0, 0, 0, "", NULL, "FILE", "Model",
         "A tokenizer.bin; empty: the model's own vocabulary, else one that lies beside it."},
    [DT_SET_BACKEND] = {"backend", 'b', DT_SETTING_TEXT, DT_SETTING_LIVE, 0, 0, 0, "auto", NULL,
                        "STACK", "Model",
                        "What computes: auto, reference, or backends joined by '+', as "
                        "int8+fastexp or int8@avx2."},
    [DT_SET_THREADS] = {"threads", 'j', DT_SETTING_INT, DT_SETTING_LIVE, 0, 256, 1, "0", NULL, "N",
                        "Model", "Threads that compute; 0 chooses."},
    [DT_SET_CONTEXT] = {"context", 'c', DT_SETTING_INT, DT_SETTING_TURN, 0, MILLION, 64, "0", NULL,
                        "N", "Model",
                        "Positions the story may hold; 0: what the model was trained for."},
    [DT_SET_BATCH] = {"batch", 0, DT_SETTING_INT, DT_SETTING_START, 0, 512, 16, "0", NULL, "N",
                      "Model",
                      "Tokens of a prompt evaluated together; 0: 64, or 32 where memory is small."},
    [DT_SET_KV] = {"kv", 0, DT_SETTING_CHOICE, DT_SETTING_START, 0, 0, 1, "f32", "f32 f16", "TYPE",
                   "Model", "Numbers of the KV cache: f16 takes half the memory."},
    [DT_SET_MEM_LIMIT] = {"mem-limit", 0, DT_SETTING_BYTES, DT_SETTING_START, 0, 1e15, 0, "0", NULL,
                          "SIZE", "Model",
                          "The most memory of our own to take (the mapped file apart), as 24M; 0: "
                          "what the machine has."},
    [DT_SET_SHORTLIST] =
        {"shortlist", 0, DT_SETTING_BOOL, DT_SETTING_START, 0, 0, 1, "on", NULL, NULL, "Model",
         "Leaves out rows of a large classifier that cannot matter: the same stories, sooner."},

    [DT_SET_TEMPERATURE] = {"temperature", 't', DT_SETTING_REAL, DT_SETTING_LIVE, 0, 100, 0.05,
                            "1.0", NULL, "T", "Sampling",
                            "How freely words are chosen; 0 always takes the likeliest."},
    [DT_SET_TOP_P] =
        {"top-p", 'p', DT_SETTING_REAL, DT_SETTING_LIVE, 0, 1, 0.01, "0.9", NULL, "P", "Sampling",
         "Chooses among the likeliest words that together have this probability; 0 and 1: all."},
    [DT_SET_TOP_K] = {"top-k", 'k', DT_SETTING_INT, DT_SETTING_LIVE, 0, MILLION, 1, "0", NULL, "K",
                      "Sampling", "Chooses among so many of the likeliest words; 0: all."},
    [DT_SET_MIN_P] =
        {"min-p", 0, DT_SETTING_REAL, DT_SETTING_LIVE, 0, 1, 0.01, "0", NULL, "P", "Sampling",
         "Leaves out words less likely than this share of the likeliest one; 0: none."},
    [DT_SET_REPEAT_PENALTY] = {"repeat-penalty", 0, DT_SETTING_REAL, DT_SETTING_LIVE, 0.1, 10, 0.05,
                               "1.0", NULL, "R", "Sampling",
                               "Makes words that were just used less likely; 1: off."},
    [DT_SET_REPEAT_LAST] = {"repeat-last", 0, DT_SETTING_INT, DT_SETTING_LIVE, 0, MILLION, 8, "64",
                            NULL, "N", "Sampling",
                            "How many of the last tokens the penalty looks at."},
    [DT_SET_SEED] =
        {"seed", 's', DT_SETTING_INT, DT_SETTING_TURN, 0, 9007199254740991.0, 1, "0", NULL, "N",
         "Sampling",
         "Where the dice start: same seed, same backend, same story; 0: another one each time."},
    [DT_SET_LENGTH] =
        {"length", 'n', DT_SETTING_INT, DT_SETTING_LIVE, 0, MILLION, 16, "256", NULL, "N",
         "Sampling",
         "The most tokens of one turn; 0: until the story ends or the context is full."},

    [DT_SET_MODE] =
        {"mode", 'm', DT_SETTING_CHOICE, DT_SETTING_TURN, 0, 0, 1, "auto", "auto story chat",
         "MODE", "Stories",
         "story: the text goes on; chat: you and the model take turns; auto: as the model likes."},
    [DT_SET_TEMPLATE] = {"chat-template", 0, DT_SETTING_TEXT, DT_SETTING_MODEL, 0, 0, 0, "auto",
                         NULL, "NAME", "Stories",
                         "How a chat is put to the model: auto is the model's own template."},
    [DT_SET_SYSTEM] = {"system", 'y', DT_SETTING_TEXT, DT_SETTING_TURN, 0, 0, 0, "", NULL, "TEXT",
                       "Stories", "What the model is told before a chat."},
    [DT_SET_OPENING] =
        {"opening", 0, DT_SETTING_TEXT, DT_SETTING_TURN, 0, 0, 0, "", NULL, "TEXT", "Stories",
         "How a story begins when nobody says; empty: one of the openings in data/."},
    [DT_SET_OVERFLOW] = {"overflow", 0, DT_SETTING_CHOICE, DT_SETTING_LIVE, 0, 0, 1, "new",
                         "stop new shift", "POLICY", "Stories",
                         "When the context is full: stop the turn, end the story and begin a new "
                         "one, or drop the oldest part (never the "
                         "premise) and go on."},
    [DT_SET_STOP] = {"stop", 0, DT_SETTING_CHOICE, DT_SETTING_LIVE, 0, 0, 1, "end", "end bos",
                     "WHAT", "Stories",
                     "What ends a story: any end token, or the beginning of the next one only, as "
                     "in llama2.c."},
    [DT_SET_COMPARE_LENGTH] = {"compare-length", 0, DT_SETTING_INT, DT_SETTING_TURN, 8, 4096, 8,
                               "128", NULL, "N", "Stories",
                               "Tokens that /compare tells with each stack."},

    [DT_SET_UI] = {"ui", 0, DT_SETTING_TEXT, DT_SETTING_START, 0, 0, 0, "auto", NULL, "NAME",
                   "Face", "The front end: auto, tui, line or plain."},
    [DT_SET_CHARSET] = {"charset", 0, DT_SETTING_CHOICE, DT_SETTING_START, 0, 0, 1, "auto",
                        "auto utf8 ascii latin1", "NAME", "Face",
                        "What the terminal can show; auto asks the locale."},
    [DT_SET_COLOR] = {"color", 0, DT_SETTING_CHOICE, DT_SETTING_START, 0, 0, 1, "auto",
                      "auto never always", "WHEN", "Face",
                      "Colours; auto: on a terminal, unless NO_COLOR is set."},
    [DT_SET_THEME] = {"theme", 0, DT_SETTING_CHOICE, DT_SETTING_LIVE, 0, 0, 1, "default",
                      "default mono high-contrast", "NAME", "Face", "Colours of the full screen."},
    [DT_SET_SIZE] =
        {"size", 0, DT_SETTING_TEXT, DT_SETTING_START, 0, 0, 0, "auto", NULL, "COLSxROWS", "Face",
         "The screen's size, where the terminal does not tell (serial lines), as 80x24."},
    [DT_SET_STATS] =
        {"stats", 0, DT_SETTING_CHOICE, DT_SETTING_LIVE, 0, 0, 1, "turn", "off turn live", "WHEN",
         "Face", "The line of figures: never, after each turn, or also while the story is told."},
    [DT_SET_INTERRUPT] = {"interrupt", 0, DT_SETTING_CHOICE, DT_SETTING_LIVE, 0, 0, 1, "hint",
                          "hint quit", "WHAT", "Face",
                          "What Ctrl-C does at an empty prompt: say how to leave, or leave."},

    [DT_SET_LIBRARY] = {"library", 0, DT_SETTING_FILE, DT_SETTING_START, 0, 0, 0, "", NULL, "FILE",
                        "Library",
                        "Where stories are kept; empty: XDG_DATA_HOME/duotale/library.db."},
    [DT_SET_PRIVATE] = {"private", 0, DT_SETTING_BOOL, DT_SETTING_LIVE, 0, 0, 1, "off", NULL, NULL,
                        "Library", "Writes nothing: no story, no history."},
    [DT_SET_HISTORY] = {"history", 0, DT_SETTING_BOOL, DT_SETTING_LIVE, 0, 0, 1, "on", NULL, NULL,
                        "Library", "Keeps what was typed, for the next time."},

    [DT_SET_SPEAK] = {"speak", 0, DT_SETTING_BOOL, DT_SETTING_LIVE, 0, 0, 1, "off", NULL, NULL,
                      "Voice", "Reads the story aloud while it is told."},
    [DT_SET_SPEAK_TO] = {"speak-to", 0, DT_SETTING_FILE, DT_SETTING_TURN, 0, 0, 0, "", NULL, "FILE",
                         "Voice", "Writes what is read to this WAV file instead."},
    [DT_SET_VOICE] = {"voice", 0, DT_SETTING_TEXT, DT_SETTING_TURN, 0, 0, 0, "auto", NULL, "NAME",
                      "Voice", "Which voice reads: a module, or MODULE:VOICE."},
    [DT_SET_VOICE_SPEED] = {"voice-speed", 0, DT_SETTING_INT, DT_SETTING_TURN, 50, 400, 10, "160",
                            NULL, "N", "Voice", "Words a minute."},
    [DT_SET_VOICE_PITCH] = {"voice-pitch", 0, DT_SETTING_INT, DT_SETTING_TURN, 0, 99, 5, "50", NULL,
                            "N", "Voice", "How high it speaks, 50 being its own pitch."},
};

const struct dt_setting *dt_settings_table(void)
{
    return table;
}

const char *dt_settings_when(const struct dt_setting *setting)
{
    static const char *const when[] = {"from the next token on", "from the next turn on",
                                       "when a model is opened", "when the program starts"};
    return when[setting->when];
}
