// SPDX-License-Identifier: MIT
// Runs the tree of a template. For core/text/jinja.c only.
#ifndef DT_CORE_JINJA_EVAL_H
#define DT_CORE_JINJA_EVAL_H

#include "core/text/jinja/jinja_parser.h"

// The variables of a block; those of the blocks around it are visible too.
struct dt_jscope {
    struct dt_jscope *parent;
    struct dt_jdict variables;
};

struct dt_jmacro {
    const struct dt_jnode *parameters, *body;
    struct dt_jscope *scope; // in which it was defined
};

struct dt_jvalue dt_jinja_eval(struct dt_jinja *j, const struct dt_jnode *node);

// Evaluates the arguments of a call, a filter or a test.
bool dt_jinja_arguments(struct dt_jinja *j, const struct dt_jnode *first, struct dt_jargs *out);
struct dt_jvalue dt_jmacro_call(struct dt_jinja *j, const struct dt_jmacro *macro,
                                const struct dt_jargs *args);

#endif
