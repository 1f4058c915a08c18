// SPDX-License-Identifier: MIT
#include "core/reader.h"

dt_status dt_gguf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_model *out, struct dt_error *err)
{
    (void)count, (void)arena, (void)out;
    return dt_error_set(err, DT_UNSUPPORTED, parts[0].name, "GGUF files are not read yet");
}
