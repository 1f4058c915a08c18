// SPDX-License-Identifier: MIT
// Dropping entries of a session whose text is longer than its context.
#include <string.h>

#include "core/kv/kv_drop.h"
#include "core/session_state.h"
#include "core/structure.h"

bool dt_session_can_drop(const struct dt_session *s)
{
    const struct dt_model *m = s->group->forward.model;
    // a norm with weights of its channels, behind RoPE, does not commute with a rotation
    bool normed_after = m->hp.structure->qk_norm == DT_QK_NORM_HEADS_AFTER;
    return !m->positions.quants && !normed_after;
}

void dt_session_drop(struct dt_session *s, uint32_t first, uint32_t count)
{
    struct dt_forward *f = &s->group->forward;
    const struct dt_hparams *hp = &f->model->hp;
    if (count == 0)
        return;
    for (uint32_t local = 0; local < f->ropes; local++)
        dt_forward_angles(f, count, local != 0, f->scratch.cosine + local * f->half_stride,
                          f->scratch.sine + local * f->half_stride);
    for (uint32_t layer = 0; layer < hp->layers; layer++) {
        uint32_t rope = f->model->layers[layer].rope;
        size_t at = rope == DT_LAYER_ROPE_LOCAL ? f->half_stride : 0;
        const struct dt_kv_rotation rotation = {f->scratch.cosine + at, f->scratch.sine + at,
                                                hp->rotated, hp->rope_style};
        dt_kv_cache_drop(&s->cache, layer, s->position, first, count,
                         rope == DT_LAYER_ROPE_NONE ? NULL : &rotation);
    }
    s->group->guessed.left = 0; // they are behind the position that was
    s->position -= count;
    memmove(s->tokens + first, s->tokens + first + count,
            (s->position - first) * sizeof *s->tokens);
    s->dropped = s->position ? s->dropped + count : 0;
    s->dropped_at = s->position ? first : 0;
}

void dt_session_set_window(struct dt_session *s, const struct dt_session_window *window)
{
    bool valid = window->drop && (uint64_t)window->pinned + window->drop < s->cache.capacity &&
                 dt_session_can_drop(s);
    s->window = valid ? *window : (struct dt_session_window){0};
}

uint32_t dt_session_dropped(const struct dt_session *s)
{
    return s->dropped;
}

uint32_t dt_session_space(struct dt_session *s)
{
    if (s->position == s->cache.capacity && s->window.drop)
        dt_session_drop(s, s->window.pinned, s->window.drop);
    return s->cache.capacity - s->position;
}
