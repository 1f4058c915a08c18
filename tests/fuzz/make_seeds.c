// SPDX-License-Identifier: MIT
// Writes the fuzzers' seeds: tiny valid files of every kind.
#include <sys/stat.h>

#include "fuzz.h"
#include "core/formats/open_model.h"
#include "core/sampling/draft_table.h"
#include "synth.h"
#include "synth_hf.h"

static const char *folder;

static void save(const char *fuzzer, const char *name, const struct synth *s)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, fuzzer);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", folder, fuzzer, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(s->bytes, 1, s->n, f) != s->n || fclose(f)) {
        perror(path);
        exit(1);
    }
}

static void llama2c(void)
{
    struct synth_shape shape = {.dim = 8,
                                .hidden = 12,
                                .layers = 2,
                                .heads = 2,
                                .kv_heads = 1,
                                .vocab = 6,
                                .context = 4,
                                .group = 4,
                                .seed = 3};
    for (int version = 0; version <= 2; version++)
        for (int shared = 0; shared <= 1; shared++) {
            struct synth s = {0};
            char name[32];
            shape.shared = shared;
            synth_llama2c(&s, &shape, version);
            snprintf(name, sizeof name, "v%d-%s", version, shared ? "shared" : "own");
            save("llama2c", name, &s);
            synth_free(&s);
        }
}

static void gguf(void)
{
    struct synth_shape shape = {.dim = 8,
                                .hidden = 12,
                                .layers = 2,
                                .heads = 2,
                                .kv_heads = 1,
                                .vocab = 6,
                                .context = 4,
                                .group = 4,
                                .seed = 3};
    static const struct {
        const char *name;
        struct synth_gguf how;
        uint32_t vocab, width;
    } rows[] = {
        {"f32", {0}, 6, 8},
        {"v2", {.version = 2}, 6, 8},
        {"f16", {.form = DT_FORM_F16, .half_norms = true}, 6, 8},
        {"q8_0", {.form = DT_FORM_Q8_0}, 6, 32},
        {"q4_0", {.form = DT_FORM_Q4_0}, 6, 32},
        {"groups", {.groups = true}, 6, 8},
        {"qwen2",
         {.architecture = "qwen2",
          .bpe = true,
          .biases = true,
          .head_size = 6,
          .template = "<|im_start|>system\\nBe kind.<|im_end|>{{ m }}"},
         268,
         8},
        {"llama3",
         {.bpe = true,
          .template = "<|start_header_id|>{{ role }}<|end_header_id|>{{ m }}<|eot_id|>"},
         268,
         8},
    };
    // The keys of every architecture are read; its tensors are those of a Llama.
    static const char *const architectures[] = {
        "qwen3", "smollm3", "ernie4_5", "exaone", "hunyuan-dense", "granite", "minicpm",
        "olmo2", "phi3",    "gemma",    "gemma2", "gemma3",        "gpt2",    "gptneo"};
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        struct synth s = {0};
        shape.shared = i % 2;
        synth_gguf(&s, &shape, &(struct synth_gguf){.architecture = architectures[i]});
        save("gguf", architectures[i], &s);
        synth_free(&s);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct synth s = {0};
        shape.vocab = rows[i].vocab;
        shape.dim = rows[i].width;
        shape.hidden = rows[i].width == 8 ? 12 : 32;
        shape.shared = i % 2;
        synth_gguf(&s, &shape, &rows[i].how);
        save("gguf", rows[i].name, &s);
        synth_free(&s);
    }
    struct synth both = {0};
    shape.vocab = 6;
    shape.dim = 8;
    shape.hidden = 12;
    for (uint32_t i = 0; i < 2; i++) {
        struct synth_gguf how = {.split_no = i, .split_count = 2};
        struct synth s = {0};
        synth_gguf(&s, &shape, &how);
        synth_put(&both, s.bytes, s.n);
        synth_pad(&both, 8);
        synth_free(&s);
    }
    save("gguf", "two-parts", &both);
    synth_free(&both);
}

static void tokenizers(void)
{
    struct synth file = {0}, seed = {0};
    synth_tokenizer(&file, 290);
    synth_u8(&seed, 290 & 255);
    synth_u8(&seed, 290 >> 8);
    synth_put(&seed, file.bytes, file.n);
    save("tokenizer_bin", "290", &seed);
    synth_free(&file);
    synth_free(&seed);

    static const char *const texts[] = {
        "Once upon a time, there was a hat.", "it's 1234 o'clock\r\n\tDON'T  ",
        "\xc3\xa9t\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 \xff\xfe \xe2\x96\x81the",
        "<|im_start|>user\nthe the the<|im_end|>", "   \n \n   x\xc2\xa0y \xc2\xbd"};
    for (unsigned kind = 0; kind < 12; kind++) {
        char name[32];
        synth_u8(&seed, (uint8_t)kind);
        synth_put(&seed, texts[kind % 5], strlen(texts[kind % 5]));
        snprintf(name, sizeof name, "kind-%u", kind);
        save("encode", name, &seed);
        synth_free(&seed);
    }
}

// Tables of n-grams: one with entries, an empty one.
static void drafts(void)
{
    for (uint32_t entries = 0; entries <= 40; entries += 40) {
        struct synth s = {0};
        synth_put(&s, DT_DRAFT_MAGIC, sizeof DT_DRAFT_MAGIC);
        synth_u32(&s, DT_DRAFT_VERSION);
        synth_u32(&s, 40); // tokens of fuzz_draft's vocabulary, whose hash it fills in
        synth_u64(&s, 0);
        synth_u32(&s, 64);
        synth_u32(&s, entries);
        for (uint32_t slot = 0; slot < 64; slot++) {
            uint32_t found = 0, value = 0;
            for (uint32_t token = 0; token < entries; token++) {
                uint64_t key = dt_draft_key(&token, 1);
                if ((key & 63) == slot) {
                    found = (uint32_t)(key >> 32) | 1;
                    value = (token + 7) % 41 | 128u << 24; // one is not in the vocabulary
                }
            }
            synth_u32(&s, found);
            synth_u32(&s, value);
        }
        save("draft", entries ? "entries" : "empty", &s);
        synth_free(&s);
    }
}

static void folders(void)
{
    static const struct synth_shape shape = {.dim = 8,
                                             .hidden = 12,
                                             .layers = 1,
                                             .heads = 2,
                                             .kv_heads = 1,
                                             .vocab = 266,
                                             .context = 4,
                                             .shared = true,
                                             .seed = 3};
    static const struct {
        const char *name;
        struct synth_hf how;
    } rows[] = {
        {"llama", {.form = DT_FORM_F16}},
        {"shards", {.form = DT_FORM_BF16, .shards = 2, .new_merges = true}},
        {"qwen2", {.model_type = "qwen2", .form = DT_FORM_BF16, .biases = true, .bpe = true}},
        {"llama3",
         {.form = DT_FORM_BF16,
          .config = ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}"}},
    };
    static const char *const types[] = {
        "qwen3",   "smollm3",          "ernie4_5",    "exaone", "hunyuan_v1_dense",
        "granite", "granitemoehybrid", "minicpm",     "olmo2",  "phi3",
        "gemma",   "gemma2",           "gemma3_text", "gpt2",   "gpt_neo"};
    enum { ROWS = sizeof rows / sizeof *rows, TYPES = sizeof types / sizeof *types };
    for (size_t i = 0; i < ROWS + TYPES; i++) {
        struct synth files[SYNTH_HF_FILES] = {{0}}, all = {0};
        const char *type = i < ROWS ? NULL : types[i - ROWS];
        struct synth_hf how = {.model_type = type, .form = DT_FORM_BF16, .bpe = true};
        synth_hf(files, &shape, type ? &how : &rows[i].how);
        for (int k = 0; k < SYNTH_HF_FILES; k++) {
            if (!files[k].n)
                continue;
            if (all.n)
                synth_put(&all, "--FILE--", 8);
            synth_put(&all, files[k].bytes, files[k].n);
            if (i == 0 && k < SYNTH_HF_INDEX)
                save("json",
                     k == 0   ? "config"
                     : k == 1 ? "tokenizer"
                              : "tokenizer-config",
                     &files[k]);
            synth_free(&files[k]);
        }
        save("hf", type ? type : rows[i].name, &all);
        synth_free(&all);
    }
    struct synth odd = {0};
    synth_put(&odd, "[1.5e-3, \"\\ud83d\\ude00\\n\", {\"a\": [[], {}, null, true]}, -0]", 59);
    save("json", "odd", &odd);
    synth_free(&odd);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    folder = argv[1];
    llama2c();
    gguf();
    tokenizers();
    drafts();
    folders();
    return 0;
}
