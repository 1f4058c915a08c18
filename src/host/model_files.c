// SPDX-License-Identifier: MIT
#include "host/model_files.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/formats/open_model.h"
#include "host/memory.h"

#define LARGE_PAGES_MIN (8u << 20)
#define TOUCH_MAX       (256u << 20)

// Writes the path of the first file of a GGUF split in `folder` to out; false if there is none.
static bool first_shard(const char *folder, char *out, size_t size)
{
    static const char middle[] = "-00001-of-";
    DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *e; dir && !found && (e = readdir(dir));) {
        size_t n = strlen(e->d_name), tail = sizeof middle - 1 + strlen("00001.gguf");
        found = n > tail && strncmp(e->d_name + n - tail, middle, sizeof middle - 1) == 0 &&
                strcmp(e->d_name + n - 5, ".gguf") == 0;
        if (found)
            dt_format(out, size, "%s/%s", folder, e->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Maps the next file of the model.
static dt_status map_part(struct dt_model_files *files, const char *path, struct dt_error *err)
{
    if (files->count == DT_MODEL_FILES_MAX)
        return dt_error_set(
            err, DT_UNSUPPORTED, path,
            "the model has more than %u files, which is the limit; convert it to fewer files",
            DT_MODEL_FILES_MAX);
    dt_status status = dt_file_map(&files->file[files->count], path, err);
    if (status != DT_OK)
        return status;
    struct dt_file *file = &files->file[files->count++];
    if (file->size >= LARGE_PAGES_MIN && file->size < dt_memory_available(NULL) / 4)
        dt_file_large_pages(file);
    return DT_OK;
}

// Maps folder/name. A file that is not required may be missing.
static dt_status map_one(struct dt_model_files *files, const char *folder, const char *name,
                         bool required, struct dt_error *err)
{
    char path[PATH_MAX];
    dt_format(path, sizeof path, "%s/%s", folder, name);
    if (!required && !dt_file_readable(path))
        return DT_OK;
    uint32_t count = files->count;
    dt_status status = map_part(files, path, err);
    if (status && !required && strcmp(name, "README.md") == 0) { // it is not needed
        files->count = count;
        status = DT_OK;
    }
    return status;
}

static bool is_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (dir)
        closedir(dir);
    return dir != NULL;
}

// A folder without safetensors, or without config.json, or with vocabulary set without a
// tokenizer: says what it has instead.
static dt_status refuse_folder(const char *folder, bool vocabulary, struct dt_error *err)
{
    static const char *const pickles[] = {".bin", ".pth", ".pt", ".ckpt"};
    char path[PATH_MAX];
    bool pickle = false;
    dt_format(path, sizeof path, "%s/adapter_config.json", folder);
    if (dt_file_readable(path))
        return dt_error_set(err, DT_UNSUPPORTED, folder,
                            "the folder is a LoRA adapter, not a model; merge it into its model "
                            "first");
    if (vocabulary)
        return dt_error_set(err, DT_BAD_INPUT, folder,
                            "contains no tokenizer.json, tokenizer.model or GGUF file");
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && !pickle && (d = readdir(dir));)
        for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
            size_t n = strlen(d->d_name), tail = strlen(pickles[i]);
            pickle = pickle || (n > tail && strcmp(d->d_name + n - tail, pickles[i]) == 0);
        }
    if (dir)
        closedir(dir);
    if (pickle)
        return dt_error_set(err, DT_UNSUPPORTED, folder,
                            "the weights in this folder are PyTorch pickles; get the model as "
                            "safetensors or GGUF, or convert it");
    dt_format(path, sizeof path, "%s/config.json", folder);
    if (dt_file_readable(path))
        return dt_error_set(err, DT_BAD_INPUT, folder,
                            "the folder has a config.json, but no model.safetensors or "
                            "model-*.safetensors; get the weights too");
    return dt_error_set(err, DT_BAD_INPUT, folder,
                        "the folder has no model: expected config.json and model.safetensors, or "
                        "NAME-00001-of-0000N.gguf");
}

// The texts of a Hugging Face folder.
static const char *const texts[] = {"config.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "tokenizer.model",
                                    "chat_template.jinja",
                                    "chat_template.json",
                                    "generation_config.json",
                                    "README.md",
                                    "model.safetensors.index.json"};

// Maps the named chat templates, FOLDER/additional_chat_templates/NAME.jinja, sorted by name.
static dt_status map_templates(struct dt_model_files *files, const char *folder,
                               struct dt_error *err)
{
    char path[PATH_MAX], *names[32];
    size_t count = 0;
    dt_status status = DT_OK;
    dt_format(path, sizeof path, "%s/additional_chat_templates", folder);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && count < 32 && (d = readdir(dir));) {
        size_t n = strlen(d->d_name);
        if (n > 6 && strcmp(d->d_name + n - 6, ".jinja") == 0 && (names[count] = strdup(d->d_name)))
            count++;
    }
    if (dir)
        closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        if (!status)
            status = map_one(files, path, names[i], true, err);
        free(names[i]);
    }
    return status;
}

// Maps the texts of a Hugging Face folder, then its weights: model.safetensors, or all
// model-*.safetensors sorted by name.
static dt_status map_folder(struct dt_model_files *files, const char *folder, struct dt_error *err)
{
    static const char whole[] = "model.safetensors", suffix[] = ".safetensors";
    char *names[DT_MODEL_FILES_MAX];
    size_t count = 0;
    dt_status status = DT_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !status; i++)
        status = map_one(files, folder, texts[i], i == 0, err);
    if (!status)
        status = map_templates(files, folder, err);
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && count < DT_MODEL_FILES_MAX && (d = readdir(dir));) {
        size_t n = strlen(d->d_name), tail = sizeof suffix - 1;
        bool shard = n > tail && strncmp(d->d_name, "model-", 6) == 0 &&
                     strcmp(d->d_name + n - tail, suffix) == 0;
        if ((shard || strcmp(d->d_name, whole) == 0) && (names[count] = strdup(d->d_name)))
            count++;
    }
    if (dir)
        closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        if (!status && (count == 1 || strcmp(names[i], whole) != 0))
            status = map_one(files, folder, names[i], true, err);
        free(names[i]);
    }
    return status || count ? status : refuse_folder(folder, false, err);
}

bool dt_model_files_present(const char *path)
{
    return dt_file_readable(path) || is_folder(path);
}

dt_status dt_model_files_map(struct dt_model_files *files, const char *path, struct dt_error *err)
{
    char shard[PATH_MAX];
    dt_format(shard, sizeof shard, "%s/config.json", path);
    if (dt_file_readable(shard))
        return map_folder(files, path, err);
    if (first_shard(path, shard, sizeof shard))
        path = shard;
    else if (is_folder(path))
        return refuse_folder(path, false, err);
    dt_status status = map_part(files, path, err);
    if (status != DT_OK)
        return status;
    if (files->file[0].size <= TOUCH_MAX)
        dt_file_touch(&files->file[0]); // checking the scales reads all of it
    uint32_t count = dt_model_split_count(files->file[0].bytes, files->file[0].size);
    if (count <= 1)
        return DT_OK;
    if (count > DT_MODEL_FILES_MAX)
        return dt_error_set(err, DT_UNSUPPORTED, path,
                            "is one of %u files, and the limit is %u; convert it to fewer files",
                            count, DT_MODEL_FILES_MAX);
    char middle[32], name[PATH_MAX];
    dt_format(middle, sizeof middle, "-00001-of-%05u.gguf", count);
    size_t n = strlen(path), tail = strlen(middle);
    if (n < tail || strcmp(path + n - tail, middle) != 0)
        return dt_error_set(err, DT_BAD_INPUT, path,
                            "is one of %u files; open the one whose name ends in %s", count,
                            middle);
    for (uint32_t i = 1; i < count; i++) {
        dt_format(name, sizeof name, "%.*s-%05u-of-%05u.gguf", (int)(n - tail), path, i + 1, count);
        status = map_part(files, name, err);
        if (status != DT_OK)
            return status;
    }
    return DT_OK;
}

dt_status dt_model_files_map_vocabulary(struct dt_model_files *files, const char *path,
                                        struct dt_error *err)
{
    char inside[PATH_MAX];
    dt_status status = DT_OK;
    if (!is_folder(path))
        return map_part(files, path, err);
    if (first_shard(path, inside, sizeof inside))
        return map_part(files, inside, err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !status; i++)
        status = map_one(files, path, texts[i], false, err);
    if (!status)
        status = map_templates(files, path, err);
    if (!status && !files->count)
        status = refuse_folder(path, true, err);
    return status;
}

void dt_model_files_unmap(struct dt_model_files *files)
{
    for (uint32_t i = 0; i < files->count; i++)
        dt_file_unmap(&files->file[i]);
    files->count = 0;
}

uint32_t dt_model_files_parts(const struct dt_model_files *files,
                              struct dt_model_part parts[DT_MODEL_FILES_MAX])
{
    for (uint32_t i = 0; i < files->count; i++) {
        const struct dt_file *file = &files->file[i];
        parts[i] = (struct dt_model_part){file->bytes, file->size, file->path};
    }
    return files->count;
}

size_t dt_model_files_bytes(const struct dt_model_files *files)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < files->count; i++)
        bytes += files->file[i].size;
    return bytes;
}

dt_status dt_model_files_check(const struct dt_model_files *files, struct dt_error *err)
{
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < files->count && status == DT_OK; i++)
        status = dt_file_check(&files->file[i], err);
    return status;
}

dt_status dt_model_files_check_lost(const struct dt_model_files *files, struct dt_error *err)
{
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < files->count && status == DT_OK; i++)
        status = dt_file_check_lost(&files->file[i], err);
    return status;
}

void dt_model_files_read_ahead(const struct dt_model_files *files)
{
    if (dt_model_files_bytes(files) >= dt_memory_available(NULL) / 2)
        return;
    for (uint32_t i = 0; i < files->count; i++) {
        const struct dt_file *file = &files->file[i];
        if (!file->large) // read-ahead would fill the page cache with small pages
            dt_file_advise(file, 0, file->size, DT_FILE_WILL_NEED);
    }
}

const struct dt_file *dt_model_files_find(const struct dt_model_files *files, const void *at,
                                          size_t *offset)
{
    for (uint32_t i = 0; i < files->count; i++) {
        const struct dt_file *file = &files->file[i];
        *offset = (size_t)((uintptr_t)at - (uintptr_t)file->bytes);
        if ((uintptr_t)at >= (uintptr_t)file->bytes && *offset < file->size)
            return file;
    }
    return NULL;
}

void dt_model_files_release(const struct dt_model_files *files, const void *begin, size_t n)
{
    size_t offset;
    const struct dt_file *file = dt_model_files_find(files, begin, &offset);
    if (file)
        dt_file_advise(file, offset, n, DT_FILE_DONT_NEED);
}

bool dt_model_files_find_tokenizer(const char *model, char *out, size_t size)
{
    dt_format(out, size, "tokenizer.bin");
    if (dt_file_readable(out))
        return true;
    const char *slash = strrchr(model, '/');
    int folder = slash ? (int)(slash - model) + 1 : 0;
    size_t stem = strlen(model + folder);
    if (stem > 4 && strcmp(model + folder + stem - 4, ".bin") == 0)
        stem -= 4;
    // NAME.tok.bin for NAME.bin and for NAME-q80-g32.bin: also tries the part before each dash
    for (size_t n = stem; n > 0; n--) {
        if (n != stem && model[folder + n] != '-')
            continue;
        dt_format(out, size, "%.*s.tok.bin", (int)(folder + n), model);
        if (dt_file_readable(out))
            return true;
    }
    dt_format(out, size, "%.*stokenizer.bin", folder, model);
    return dt_file_readable(out);
}
