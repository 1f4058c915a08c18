// SPDX-License-Identifier: MIT
#include "core/stack.h"

#include <string.h>

void dt_instance_init(struct dt_instance *instance, const struct dt_backend *module, void *ctx)
{
    memset(instance, 0, sizeof *instance);
    size_t known = module->size < sizeof instance->table ? module->size : sizeof instance->table;
    memcpy(&instance->table, module, known);
    instance->table.size = (uint32_t)known;
    if (instance->table.row_tile == 0)
        instance->table.row_tile = 1;
    instance->ctx = ctx;
}

dt_status dt_stack_make(struct dt_stack *out, const struct dt_instance *const *instances,
                        uint32_t count, struct dt_error *err)
{
    memset(out, 0, sizeof *out);
    if (count + 1 > DT_STACK_MAX)
        return dt_error_set(err, DT_USAGE, NULL, "a stack has at most %d backends (got %u)",
                            DT_STACK_MAX - 1, count);
    out->level[out->count++] = &dt_instance_reference;
    for (uint32_t i = 0; i < count; i++) {
        // the reference is in the stack already
        if (instances[i]->table.matmul != dt_backend_reference.matmul)
            out->level[out->count++] = instances[i];
    }
    for (uint32_t i = 0; i < out->count; i++) {
        const struct dt_instance *level = out->level[i];
#define RESOLVE(op)                                                                                \
    if (level->table.op)                                                                           \
        out->op = level;
        RESOLVE(rmsnorm)
        RESOLVE(rope)
        RESOLVE(attention)
        RESOLVE(softmax)
        RESOLVE(silu_mul)
        RESOLVE(add)
        RESOLVE(argmax)
        RESOLVE(select)
        RESOLVE(screen)
        RESOLVE(layernorm)
        RESOLVE(gelu)
        RESOLVE(gelu_mul)
        RESOLVE(softcap)
        RESOLVE(attention_capped)
#undef RESOLVE
        if (level->table.kv_types >> DT_KV_I8 & 1) {
            out->attention_i8 = level->table.attention ? level : out->attention_i8;
            out->attention_capped_i8 =
                level->table.attention_capped ? level : out->attention_capped_i8;
        }
    }
    return DT_OK;
}

int dt_backend_form_rank(const struct dt_backend *table, uint32_t form)
{
    for (uint32_t i = 0; i < table->form_count && i < sizeof table->forms / sizeof *table->forms;
         i++) {
        if (table->forms[i] == form)
            return (int)i;
    }
    return form < 64 && (table->more_forms & DT_FORM_BIT(form)) ? (int)table->form_count : -1;
}

static bool accepts(const struct dt_instance *level, const struct dt_matrix *w)
{
    const struct dt_backend *b = &level->table;
    if (!b->matmul)
        return false;
    bool known = dt_backend_form_rank(b, w->form) >= 0;
    if (w->form == DT_FORM_PACKED)
        known = b->layout && w->layout && strcmp(b->layout, w->layout) == 0;
    return known && (!b->can_matmul || b->can_matmul(level->ctx, w));
}

const struct dt_instance *dt_stack_for_matrix(const struct dt_stack *stack,
                                              const struct dt_matrix *w)
{
    for (uint32_t i = stack->count; i-- > 0;) {
        if (accepts(stack->level[i], w))
            return stack->level[i];
    }
    return NULL;
}
