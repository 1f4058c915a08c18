// SPDX-License-Identifier: MIT
// Data only: the options of convert.
#include "core/model.h"
#include "verbs/option_rows.h"

const struct dt_option dt_option_rows_convert[] = {
    {
        .name = "output",
        .id = DT_OPTION_OUTPUT,
        .letter = 'o',
        .type = DT_OPTION_FILE,
        .value = "OUT",
        .help = "The file to write: NAME.gguf is GGUF, NAME.bin is llama2.c; with --shard, a new "
                "folder.",
    },
    {
        .name = "format",
        .id = DT_OPTION_FORMAT,
        .letter = 'f',
        .type = DT_OPTION_CHOICE,
        .value = "FORM",
        .choices = "same f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_k q4_0 i8",
        .initial = "same",
        .help = "The weight form. i8: llama2.c's groups, in GGUF too; same: every matrix keeps its "
                "form.",
    },
    {
        .name = "calibrate",
        .id = DT_OPTION_CALIBRATE,
        .type = DT_OPTION_FILE,
        .value = "TEXT",
        .help = "Fits weights of 4 and 5 bits to what the model computes for this text, which "
                "loses less. The text is of the kind that the model writes, in stories separated "
                "by lines with <|endoftext|>; its first 16,384 tokens are used.",
    },
    {
        .name = "draft",
        .id = DT_OPTION_DRAFT,
        .type = DT_OPTION_FILE,
        .value = "TEXT",
        .help = "Writes no model, but a table for speculation: which tokens follow which in this "
                "text, of the kind that the model writes, in stories separated by lines with "
                "<|endoftext|>. As NAME.draft beside the model NAME.gguf it is found by itself.",
    },
    {
        .name = "embedding",
        .id = DT_OPTION_EMBEDDING,
        .type = DT_OPTION_CHOICE,
        .value = "FORM",
        .choices = "f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_k q4_0",
        .help = "The weight form of the embedding and the classifier, where it is another one.",
    },
    {
        .name = "to",
        .id = DT_OPTION_TO,
        .type = DT_OPTION_CHOICE,
        .value = "FORMAT",
        .choices = "gguf llama2c-v0 llama2c-v1 llama2c-v2 llama2c",
        .help = "The file format, where it does not follow from the name of OUT. llama2c-v0 and "
                "-v1 hold fp32, -v2 holds int8 groups; llama2c chooses by the weight form.",
    },
    {
        .name = "group",
        .id = DT_OPTION_GROUP,
        .type = DT_OPTION_INT,
        .value = "N",
        .minimum = 1,
        .maximum = DT_MAX_DIM,
        .initial = "64",
        .help = "Values per scale in llama2.c's groups; halved until it divides the row length.",
    },
    {
        .name = "shard",
        .id = DT_OPTION_SHARD,
        .help = "Writes GGUF into a folder: one file per layer, and one for the rest.",
    },
    {
        .name = "for",
        .id = DT_OPTION_FOR,
        .type = DT_OPTION_STACK,
        .value = "LAYOUT",
        .help = "Writes GGUF with the matrices packed in a layout that is computed from the file "
                "itself, without a copy in memory: host for this machine's, the name of a layout "
                "(rows16-1), or a backend's. Without --for, a packed file is unpacked.",
    },
    {
        .name = "name",
        .id = DT_OPTION_NAME,
        .type = DT_OPTION_TEXT,
        .value = "TEXT",
        .help = "The model's name inside the file.",
    },
    {
        .name = "quiet",
        .id = DT_OPTION_QUIET,
        .letter = 'q',
        .help = "Prints errors only.",
    },
    JSON_OPTION("Prints one JSON object: every tensor, its form and its error."),
    HELP_OPTION,
    {0},
};
