// SPDX-License-Identifier: MIT
// Data only: the generators of man pages and completions are built from this file too.
#include "core/model.h"
#include "core/session.h"
#include "verbs/option_rows.h"

#define MODEL_SETTINGS                                                                             \
    DT_SET_TOKENIZER, DT_SET_BACKEND, DT_SET_THREADS, DT_SET_CONTEXT, DT_SET_BATCH, DT_SET_KV,     \
        DT_SET_MEM_LIMIT, DT_SET_SHORTLIST, DT_SET_PACK, DT_SET_WEIGHTS, DT_SET_DRAFT

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const int model_settings[] = {MODEL_SETTINGS};
static const int run_settings[] = {
    MODEL_SETTINGS,   DT_SET_TEMPERATURE,    DT_SET_TOP_P,       DT_SET_TOP_K,
    DT_SET_MIN_P,     DT_SET_REPEAT_PENALTY, DT_SET_REPEAT_LAST, DT_SET_SEED,
    DT_SET_MODE,      DT_SET_TEMPLATE,       DT_SET_SYSTEM,      DT_SET_STOP,
    DT_SET_STOP_TEXT, DT_SET_THINKING,       DT_SET_SPEAK,       DT_SET_SPEAK_TO,
    DT_SET_VOICE,     DT_SET_VOICE_SPEED,    DT_SET_VOICE_PITCH, DT_SET_REMOTE_TIMEOUT,
};
static const int serve_settings[] = {
    MODEL_SETTINGS,        DT_SET_TEMPERATURE, DT_SET_TOP_P, DT_SET_TOP_K,    DT_SET_MIN_P,
    DT_SET_REPEAT_PENALTY, DT_SET_REPEAT_LAST, DT_SET_SEED,  DT_SET_TEMPLATE,
};
static const int convert_settings[] = {DT_SET_TOKENIZER, DT_SET_THREADS};
static const int tokenize_settings[] = {DT_SET_TOKENIZER};
static const int stories_settings[] = {DT_SET_LIBRARY};

static const struct dt_option session_options[] = {
    {
        .name = "prompt",
        .id = DT_OPTION_PROMPT,
        .letter = 'i',
        .type = DT_OPTION_TEXT,
        .value = "TEXT",
        .help = "The first prompt.",
    },
    {
        .name = "open",
        .id = DT_OPTION_OPEN,
        .type = DT_OPTION_STORY,
        .value = "N",
        .help = "Continues story N of the library; without a number, the last one.",
    },
    {
        .name = "script",
        .id = DT_OPTION_SCRIPT,
        .type = DT_OPTION_FILE,
        .value = "FILE",
        .help = "Enters the lines of a file as if they were typed.",
    },
    {
        .name = "force",
        .id = DT_OPTION_FORCE,
        .help = "Replaces the file of --speak-to, if it exists.",
    },
    {
        .name = "config",
        .id = DT_OPTION_CONFIG,
        .type = DT_OPTION_FILE,
        .value = "FILE",
        .help = "Reads the settings from this file.",
    },
    {
        .name = "no-config",
        .id = DT_OPTION_NO_CONFIG,
        .help = "Reads no settings file.",
    },
    HELP_OPTION,
    {
        .name = "version",
        .id = DT_OPTION_VERSION,
        .letter = 'V',
        .help = "Prints the version.",
    },
    {0},
};

static const struct dt_option run_options[] = {
    {
        .name = "prompt",
        .id = DT_OPTION_PROMPT,
        .letter = 'i',
        .type = DT_OPTION_TEXT,
        .value = "TEXT",
        .help = "The beginning of the story, or the first message of a chat.",
    },
    {
        .name = "prompt-file",
        .id = DT_OPTION_PROMPT_FILE,
        .type = DT_OPTION_FILE,
        .value = "FILE",
        .help = "Reads the prompt from a file; - is standard input.",
    },
    {
        .name = "steps",
        .id = DT_OPTION_STEPS,
        .letter = 'n',
        .type = DT_OPTION_INT,
        .value = "N",
        .maximum = INT32_MAX,
        .initial = "256",
        .help = "Number of tokens with the prompt; 0: all that fit, the default of a chat.",
    },
    RUN_OVERFLOW,
    {
        .name = "sequences",
        .id = DT_OPTION_SEQUENCES,
        .type = DT_OPTION_INT,
        .value = "N",
        .minimum = 1,
        .maximum = DT_SESSIONS_MAX,
        .initial = "1",
        .help = "Generates N stories together, with the seed and the N - 1 that follow it; a line "
                "<|endoftext|> is printed between two. Each is the story that its seed gives "
                "alone.",
    },
    {
        .name = "special",
        .id = DT_OPTION_SPECIAL,
        .help = "Control tokens in the prompt (<|im_end|>) become tokens; not in a chat.",
    },
    {
        .name = "ids",
        .id = DT_OPTION_IDS,
        .help = "Prints token ids instead of text.",
    },
    JSON_OPTION("Prints one JSON object per token, and a last one with the figures."),
    MODEL_OPTIONS,
    {
        .name = "listen",
        .id = DT_OPTION_LISTEN,
        .type = DT_OPTION_SOUND,
        .value = "FILE.wav",
        .help = "Records the prompt by voice, from the microphone or from a WAV file.",
    },
    {
        .name = "ear",
        .id = DT_OPTION_EAR,
        .type = DT_OPTION_TEXT,
        .value = "NAME",
        .initial = "auto",
        .help = "The speech recogniser: auto, pocketsphinx:request or pocketsphinx:free.",
    },
    {
        .name = "force",
        .id = DT_OPTION_FORCE,
        .help = "Replaces the file of --speak-to, if it exists.",
    },
    {
        .name = "quiet",
        .id = DT_OPTION_QUIET,
        .letter = 'q',
        .help = "Prints no figures.",
    },
    {
        .name = "verbose",
        .id = DT_OPTION_VERBOSE,
        .help = "Prints what is loaded, and from where.",
    },
    HELP_OPTION,
    {0},
};

static const struct dt_option backends_options[] = {
    JSON_OPTION("Prints one JSON object."),
    {
        .name = "tune",
        .id = DT_OPTION_TUNE,
        .help =
            "Measures the variants of the backend that -b auto chooses for each MODEL, with one "
            "thread and with all, and remembers the fastest.",
    },
    {
        .name = "verify",
        .id = DT_OPTION_VERIFY,
        .type = DT_OPTION_FILE,
        .value = "FILE.so",
        .help = "Compares every kernel of a module file with the reference.",
    },
    {
        .name = "shapes",
        .id = DT_OPTION_SHAPES,
        .type = DT_OPTION_INT,
        .value = "N",
        .minimum = 1,
        .maximum = 100000,
        .initial = "200",
        .help = "With --verify: random shapes per operator.",
    },
    {
        .name = "seed",
        .id = DT_OPTION_SEED,
        .letter = 's',
        .type = DT_OPTION_RANDOM,
        .value = "N",
        .initial = "1",
        .help = "With --verify: the seed of the first shape; each further shape adds 1.",
    },
    {
        .name = "exact",
        .id = DT_OPTION_EXACT,
        .help = "With --verify: requires the bits of the reference from softmax, silu_mul and "
                "attention as well.",
    },
    HELP_OPTION,
    {0},
};

static const struct dt_option inspect_options[] = {
    {
        .name = "tensors",
        .id = DT_OPTION_TENSORS,
        .help = "Lists every matrix.",
    },
    JSON_OPTION("Prints one JSON object."),
    MODEL_OPTIONS,
    HELP_OPTION,
    {0},
};

static const struct dt_option tokenize_options[] = {
    {
        .name = "chat",
        .id = DT_OPTION_CHAT,
        .type = DT_OPTION_FILE,
        .value = "MESSAGES.json",
        .help = "Renders a dialogue, a JSON array of {role, content}, by the model's chat "
                "template; - is standard input.",
    },
    {
        .name = "system",
        .id = DT_OPTION_SYSTEM,
        .letter = 'y',
        .type = DT_OPTION_TEXT,
        .value = "TEXT",
        .help = "With --chat: a system message before the others.",
    },
    {
        .name = "date",
        .id = DT_OPTION_DATE,
        .type = DT_OPTION_TEXT,
        .value = "YYYY-MM-DD",
        .help = "With --chat: the date of templates that show one; without this option, today.",
    },
    {
        .name = "bos",
        .id = DT_OPTION_BOS,
        .help = "Puts the token for the beginning of a text first.",
    },
    JSON_OPTION("Prints one JSON object: ids, pieces and offsets; with --chat, rendered too."),
    HELP_OPTION,
    {0},
};

static const struct dt_option eval_options[] = {
    {
        .name = "compare",
        .id = DT_OPTION_COMPARE,
        .help = "Compares two models, or one model with two backends (-b int8,reference): bits "
                "per byte of both, KL divergence, agreement of the likeliest token, and where "
                "the greedy texts diverge.",
    },
    {
        .name = "first",
        .id = DT_OPTION_FIRST,
        .type = DT_OPTION_INT,
        .value = "N",
        .minimum = 1,
        .maximum = UINT32_MAX,
        .help = "Scores only the first N stories.",
    },
    {
        .name = "last",
        .id = DT_OPTION_LAST,
        .type = DT_OPTION_INT,
        .value = "N",
        .minimum = 1,
        .maximum = UINT32_MAX,
        .help = "Scores only the last N stories.",
    },
    EVAL_OVERFLOW,
    JSON_OPTION("Prints one JSON object."),
    MODEL_OPTIONS,
    HELP_OPTION,
    {0},
};

static const struct dt_option voices_options[] = {
    JSON_OPTION("Prints one JSON object per line."),
    HELP_OPTION,
    {0},
};

static const struct dt_verb_page pages[DT_VERB_COUNT] = {
    [DT_VERB_SESSION] =
        {
            .name = "",
            .help = "tell stories and chat with small language models",
            .synopsis = "[MODEL] [options]",
            .about = "Opens an interactive session. From a pipe, it generates one story and exits.",
            .options = session_options,
            .setting_count = DT_SET_COUNT,
            .operand = DT_OPERAND_MODEL,
            .notes = "Every setting can also be set in the configuration file (NAME = VALUE) or in "
                     "the environment (DUOTALE_NAME).\n"
                     "Exit codes: 0 success, 1 failure, 2 usage, 3 bad model or input file, 4 not "
                     "enough memory, 128 + N ended by signal N.",
        },
    [DT_VERB_RUN] =
        {
            .name = "run",
            .help = "generate a story, or chat, on standard output",
            .synopsis = "[MODEL] [-i TEXT] [-t T] [-n N] [options]",
            .about = "Writes a story to standard output and figures to standard error. The short "
                     "options are those of llama2.c. The settings file and the environment are "
                     "not read, so that one command line generates one story everywhere.",
            .options = run_options,
            .settings = run_settings,
            .setting_count = COUNT(run_settings),
            .operand = DT_OPERAND_MODEL,
            .notes =
                "In --mode, generate and auto mean story. --chat-template takes a name (plain, "
                "llama2, llama3, chatml, zephyr, gemma, mistral, story), the name of a further "
                "template of the model, or a file that holds a Jinja template.\n"
                "Exit codes: 0 success, 1 failure, 2 usage, 3 bad model or input file, 4 not "
                "enough memory, 130 interrupted.",
        },
    [DT_VERB_BACKENDS] =
        {
            .name = "backends",
            .help = "list compute backends, measure or verify them",
            .synopsis = "[--json]\n--tune [MODEL...] [--json]\n"
                        "--verify FILE.so [--seed N] [--shapes N]",
            .about =
                "Lists every compute backend that was found: its score on this CPU and its "
                "file, or why it cannot be used. Folders are searched in this order: those "
                "in DUOTALE_MODULES, beside the program, the install folder.\n"
                "With --verify, every kernel of a module file is compared with the reference "
                "over random shapes, including odd sizes and tails, in memory that ends at "
                "an unreadable page. One line is printed per operator.\n"
                "With --tune, products of each MODEL's weights (the default model's without "
                "one) are measured with every variant of the backend whose bits are those of "
                "the one with the best score. -b auto then takes the fastest; another than the "
                "best score's must be 3 % faster. Without --tune, -b auto measures once, in "
                "10 to 40 ms, where nothing is remembered for a model's shape, the number of "
                "threads, the CPU and the build. Choices are in the file duotale/variants of "
                "XDG_CACHE_HOME, or of ~/.cache, which may be deleted. With DUOTALE_TUNE=off "
                "in the environment, the score decides.",
            .options = backends_options,
            .operand = DT_OPERAND_MODEL_AND_FILES,
            .notes = "A stack of backends is written from the bottom up: int8+fastexp. int8@avx2 "
                     "selects one variant.\n"
                     "Exit codes: 0 success, 1 a kernel failed, 2 usage, 3 FILE.so is not a "
                     "module, or cannot run on this CPU.",
        },
    [DT_VERB_INSPECT] =
        {
            .name = "inspect",
            .help = "show what a model file contains and how much memory it needs",
            .synopsis = "[MODEL] [-b STACK] [--json]",
            .about = "Prints hyperparameters, weight forms, vocabulary, and the memory plan for a "
                     "backend. Reads no weights. Of a file that cannot be used, it prints what can "
                     "be read and what is missing; the exit code is 3.",
            .options = inspect_options,
            .settings = model_settings,
            .setting_count = COUNT(model_settings),
            .operand = DT_OPERAND_MODEL,
        },
    [DT_VERB_TOKENIZE] =
        {
            .name = "tokenize",
            .help = "show the tokens of a text or of a dialogue",
            .synopsis = "MODEL [TEXT|-] [--bos] [--json]\nMODEL --chat MESSAGES.json "
                        "[--system TEXT] [--date YYYY-MM-DD] [--json]",
            .about = "Prints the token ids of a text, their pieces and the byte offsets at which "
                     "they begin. Without TEXT, or with -, standard input is read; its bytes are "
                     "used as they are, and control tokens in it are ordinary text. Offsets are "
                     "approximate where the vocabulary normalises the text. MODEL may "
                     "also be a file or folder with a vocabulary and no weights.\n"
                     "With --chat, the dialogue is rendered by the model's own chat template, up "
                     "to the beginning of the model's next answer, and the tokens are those of the "
                     "rendering; control tokens are found only in text of the template.",
            .options = tokenize_options,
            .settings = tokenize_settings,
            .setting_count = COUNT(tokenize_settings),
            .operand = DT_OPERAND_MODEL_AND_FILES,
            .notes = "Exit codes: 0 success, 2 usage, 3 invalid input (also where the template "
                     "refuses the dialogue), 4 not enough memory.",
        },
    [DT_VERB_EVAL] =
        {
            .name = "eval",
            .help = "measure how well a model predicts a text",
            .synopsis = "MODEL TEXT [options]\n--compare A B TEXT [options]",
            .about = "Scores the stories in the file TEXT, which are separated by lines with "
                     "<|endoftext|>. Bits per byte can be compared between models with different "
                     "vocabularies; nats per token cannot.",
            .options = eval_options,
            .settings = model_settings,
            .setting_count = COUNT(model_settings),
            .operand = DT_OPERAND_MODEL_AND_FILES,
        },
    [DT_VERB_BENCH] =
        {
            .name = "bench",
            .help = "measure speed, side by side",
            .synopsis = "[MODEL...] [-b STACK[,STACK...]] [options]\n"
                        "--kernels [-b BACKEND,...] [--shapes LIST] [--baseline REPORT]\n"
                        "--contest MODEL|LOG... [--against MODEL|LOG]\n"
                        "--speak [MODEL...] [--voice NAME]",
            .about = "Measures the speed of prompts and of decoding. Runs are interleaved over "
                     "models and stacks. Tokens are sampled and discarded.",
            .options = dt_option_rows_bench,
            .settings = model_settings,
            .setting_count = COUNT(model_settings),
            .operand = DT_OPERAND_MODEL_AND_FILES,
        },
    [DT_VERB_PROFILE] =
        {
            .name = "profile",
            .help = "show where the time of a token and the memory go",
            .synopsis = "[MODEL] [-b STACK] [options]",
            .about =
                "Prints the time of decoding by operator, by layer and by token; the bytes "
                "read, and their share of the memory bandwidth measured in the same run, which "
                "is the fastest of several ways to read, over these weights in place or "
                "private memory of the same size; "
                "the memory of the engine, and that of the process as the kernel counts it.",
            .options = dt_option_rows_profile,
            .settings = model_settings,
            .setting_count = COUNT(model_settings),
            .operand = DT_OPERAND_MODEL,
        },
    [DT_VERB_VOICES] =
        {
            .name = "voices",
            .help = "list voices and speech recognisers",
            .synopsis = "[--json]",
            .about = "Lists the voices that can read stories aloud and the speech recognisers "
                     "(ears). The first usable one of each kind is the default.",
            .options = voices_options,
            .operand = DT_OPERAND_NONE,
        },
    [DT_VERB_CONVERT] =
        {
            .name = "convert",
            .help = "convert a model to another file format or weight form",
            .synopsis = "IN -o OUT [-f FORM] [options]\nIN --draft TEXT -o NAME.draft",
            .about = "Writes the model in the file or folder IN as OUT. OUT appears complete or "
                     "not at all. Sizes, and the mean and largest error of every tensor, go to "
                     "standard output.",
            .options = dt_option_rows_convert,
            .settings = convert_settings,
            .setting_count = COUNT(convert_settings),
            .operand = DT_OPERAND_MODEL_AND_FILES,
            .notes = "A llama2.c file cannot hold a vocabulary: if IN has one, it is written "
                     "beside OUT as NAME.tok.bin. The threads are those of --calibrate; OUT does "
                     "not depend on their number.",
        },
    [DT_VERB_STORIES] =
        {
            .name = "stories",
            .help = "list, search, show, export and delete saved stories",
            .synopsis = "[list] [--json]\nshow N\nsearch WORD... [--json]\nexport N FILE\nrm N...",
            .about = "list: the stories, newest first. show: one story. search: the stories that "
                     "contain all of these words. export: writes a story as .md, .txt or .json; "
                     "- is standard output, as text. rm: deletes stories permanently.",
            .options = dt_option_rows_stories,
            .settings = stories_settings,
            .setting_count = COUNT(stories_settings),
            .operand = DT_OPERAND_STORIES,
            .notes = "Exit codes: 0 success, 1 failure, 2 usage, 3 no such story.",
        },
    [DT_VERB_SERVE] =
        {
            .name = "serve",
            .help = "serve a model to other programs and to web browsers",
            .synopsis = "[MODEL] [--listen ADDRESS] [--port N] [options]",
            .about = "Answers the HTTP requests of OpenAI's clients (/v1/completions, "
                     "/v1/chat/completions, /v1/models), some of llama-server's (/completion, "
                     "/tokenize, /props), /health and /metrics, and has a page that writes stories "
                     "at /. The address of the page is printed on standard output. Requests are "
                     "evaluated together; each gets the text that it would get alone.\n"
                     "Only programs on this machine reach the server, unless --listen names "
                     "another address. Then requests need a token: that of --token-file, that of "
                     "the environment variable DUOTALE_TOKEN, or one that is made and printed. The "
                     "connection is not encrypted.",
            .options = dt_option_rows_serve,
            .settings = serve_settings,
            .setting_count = COUNT(serve_settings),
            .operand = DT_OPERAND_MODEL,
            .notes = "The sampling options are those of requests that leave them open. Ctrl-C and "
                     "SIGTERM end the server.\n"
                     "Exit codes: 0 success, 1 failure (the port is in use), 2 usage, 3 bad model "
                     "file, or the module of the server is missing, 4 not enough memory.",
        },
    [DT_VERB_MODELS] =
        {
            .name = "models",
            .help = "list and download models",
            .synopsis = "[list] [--json]\nget NAME|URL|hf:OWNER/REPO/FILE\nrm NAME...\npath [NAME]",
            .about = "list: the catalogue, and what is in the folder of models. get: downloads a "
                     "model into it; a download that was stopped goes on where it ended. rm: "
                     "removes models. path: where a model is, or the folder.",
            .options = dt_option_rows_models,
            .notes = "A model that is there is opened by its name: duotale run stories15M.\n"
                     "DUOTALE_CATALOGUE names another catalogue, HF_ENDPOINT another server for "
                     "hf: addresses.",
        },
};

const struct dt_verb_page *dt_verb_page(enum dt_verb_id verb)
{
    return &pages[verb];
}
