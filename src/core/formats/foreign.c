// SPDX-License-Identifier: MIT
#include "core/formats/foreign.h"

#include <string.h>

#include "core/formats/reader.h"

// Files by the bytes at an offset. At 0 they are no plausible width of a llama2.c file.
static const struct magic {
    size_t at;
    const char *bytes;
    size_t n;
    const char *what; // what it is; what to do
} magics[] = {
#define MAGIC(at, bytes, what)                                                                     \
    {                                                                                              \
        at, bytes, sizeof bytes - 1, what                                                          \
    }
    MAGIC(
        0, "version https://git-lfs",
        "a Git LFS pointer, not the model; fetch the file itself with \"git lfs pull\" or download "
        "it"),
    MAGIC(0, "PK\3\4",
          "a zip archive, as PyTorch's .pth and .bin files are; unpack it, or convert the model to "
          "safetensors or GGUF"),
    MAGIC(0, "\x1f\x8b\x08", "compressed with gzip; unpack it with gunzip"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "compressed with zstd; unpack it with zstd -d"),
    MAGIC(0,
          "\xfd"
          "7zXZ",
          "compressed with xz; unpack it with unxz"),
    MAGIC(0, "BZh", "compressed with bzip2; unpack it with bunzip2"),
    MAGIC(0, "7z\xbc\xaf", "a 7z archive; unpack it"),
    MAGIC(257, "ustar", "a tar archive; unpack it with tar -xf"),
    MAGIC(0, "lmgg", "in ggml's first format, which is no longer used; get the model as GGUF"),
    MAGIC(0, "fmgg",
          "in ggml's second format (ggmf), which is no longer used; get the model as GGUF"),
    MAGIC(0, "tjgg",
          "in ggml's third format (ggjt), which is no longer used; get the model as GGUF"),
    MAGIC(0, "algg", "a LoRA adapter (ggla), not a model; merge it into its model, as GGUF"),
    MAGIC(0, "\x80\2\x8a\n", "a PyTorch pickle; convert the model to safetensors or GGUF"),
    MAGIC(0, "\x80\2}", "a Python pickle; convert the model to safetensors or GGUF"),
    MAGIC(0, "\x80\2c", "a Python pickle; convert the model to safetensors or GGUF"),
    MAGIC(0, "\x80\3}", "a Python pickle; convert the model to safetensors or GGUF"),
    MAGIC(0, "\x80\3c", "a Python pickle; convert the model to safetensors or GGUF"),
    MAGIC(0, "\x80\4\x95", "a Python pickle; convert the model to safetensors or GGUF"),
    MAGIC(0, "\x89HDF\r\n", "an HDF5 file (Keras); convert the model to safetensors or GGUF"),
    MAGIC(0, "SQLite format 3", "an SQLite database, perhaps a library of stories; name a model"),
    MAGIC(0, "%PDF", "a PDF document; name a model"),
#undef MAGIC
};

// Whether the first letters are this text, after white space and in any case.
static bool begins(const struct dt_model_part *file, const char *text)
{
    size_t at = 0, n = strlen(text);
    while (at < file->n && at < 256 && (file->bytes[at] <= ' ' || file->bytes[at] >= 0xbb))
        at++; // a byte order mark, too
    if (file->n - at < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = file->bytes[at + i];
        if ((c >= 'A' && c <= 'Z' ? c | 32 : c) != (unsigned char)text[i])
            return false;
    }
    return true;
}

// ONNX: a protocol buffer that begins with the version and the name of the program that wrote it.
static bool is_onnx(const struct dt_model_part *file)
{
    const unsigned char *p = file->bytes;
    if (file->n < 32 || p[0] != 8 || p[1] < 1 || p[1] > 30 || p[2] != 0x12 || p[3] < 3 || p[3] > 26)
        return false;
    for (size_t i = 0; i < p[3]; i++)
        if (p[4 + i] < ' ' || p[4 + i] > '~')
            return false;
    return true;
}

dt_status dt_foreign_check(const struct dt_model_part *file, struct dt_error *err)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        if (file->n >= m->at + m->n && memcmp(file->bytes + m->at, m->bytes, m->n) == 0)
            return dt_error_set(err, DT_UNSUPPORTED, file->name, "the file is %s", m->what);
    }
    if (begins(file, "<!doctype html") || begins(file, "<html") || begins(file, "<?xml"))
        return dt_error_set(err, DT_BAD_INPUT, file->name,
                            "the file is a web page, not a model; download it again, from the "
                            "address of the file itself");
    if (is_onnx(file))
        return dt_error_set(err, DT_UNSUPPORTED, file->name,
                            "the file is an ONNX model; get the model as safetensors or GGUF");
    return DT_OK;
}

dt_status dt_foreign_check_gguf(const struct dt_gguf *g, struct dt_error *err)
{
    static const struct {
        const char *type, *what;
    } types[] = {
        {"adapter", "a LoRA adapter, not a model; merge it into its model first"},
        {"mmproj", "the part of a model that reads images (mmproj); name the file of the language "
                   "model"},
        {"imatrix", "an importance matrix for quantising; name a model"},
    };
    const char *type = NULL, *architecture = NULL;
    size_t length = 0, n = 0;
    dt_status status = dt_gguf_text(g, "general.type", &type, &length, err);
    if (!status)
        status = dt_gguf_text(g, "general.architecture", &architecture, &n, err);
    if (status)
        return status;
    if (architecture && dt_read_is(architecture, n, "clip")) {
        type = "mmproj";
        length = 6;
    }
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (dt_read_is(type, length, types[i].type))
            return dt_error_set(err, DT_UNSUPPORTED, g->name, "the file is %s", types[i].what);
    return DT_OK;
}

dt_status dt_foreign_check_config(struct dt_json_value config, const char *name,
                                  struct dt_error *err)
{
    struct dt_json_value how = dt_json_find(config, "quantization_config"),
                         method = dt_json_find(how, "quant_method");
    if (!how.n || how.at[0] != '{')
        return DT_OK;
    if (!dt_json_is_text(method))
        return dt_error_set(err, DT_UNSUPPORTED, name,
                            "the weights are quantised (quantization_config); get the model "
                            "without, or as GGUF");
    return dt_error_set(err, DT_UNSUPPORTED, name,
                        "the weights are quantised with %.*s (quantization_config), which duotale "
                        "does not read; get the model without, or as GGUF",
                        method.n < 42 ? (int)method.n - 2 : 40, method.at + 1);
}
