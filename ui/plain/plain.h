// SPDX-License-Identifier: MIT
#ifndef DT_UI_PLAIN_PLAIN_H
#define DT_UI_PLAIN_PLAIN_H

#include "app/api.h"

// The front end that every build has.
extern const struct dt_ui dt_ui_plain;

#endif
