// SPDX-License-Identifier: MIT
// duotale convert --draft.
#ifndef DT_VERBS_CONVERT_DRAFT_H
#define DT_VERBS_CONVERT_DRAFT_H

#include "host/convert/convert_draft.h"
#include "verbs/verb.h"

// Writes a table of the stories in the file `text`, for the vocabulary of a prepared engine, to
// `out`. stop: as in dt_convert_draft.
dt_status dt_verb_convert_draft(struct dt_engine *engine, const char *text, const char *out,
                                bool (*stop)(void), struct dt_convert_draft_facts *facts,
                                struct dt_error *err);

#endif
