// SPDX-License-Identifier: MIT
// Names files that are no model, or a model in a form that duotale does not read.
#ifndef DT_CORE_FOREIGN_H
#define DT_CORE_FOREIGN_H

#include "core/formats/gguf.h"
#include "core/formats/json_read.h"
#include "core/model.h"

// DT_UNSUPPORTED or DT_BAD_INPUT with what the file is and what to do, if its first bytes say so
// (Git LFS pointers, web pages, archives, pickles, older and other formats); else DT_OK. Pure.
dt_status dt_foreign_check(const struct dt_model_part *file, struct dt_error *err);

// The same for a GGUF file whose general.type says that it is no whole model.
dt_status dt_foreign_check_gguf(const struct dt_gguf *g, struct dt_error *err);

// The same for a config.json: weights in a quantisation of other programs (GPTQ, AWQ).
dt_status dt_foreign_check_config(struct dt_json_value config, const char *name,
                                  struct dt_error *err);

#endif
