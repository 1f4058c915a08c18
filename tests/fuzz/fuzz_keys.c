// SPDX-License-Identifier: MIT
// Bytes of a keyboard: the decoder of escape sequences, and the line editor that their keys drive.
#include "fuzz.h"

#include "../../ui/common/escape.h"
#include "../../ui/tui/editor.h"
#include "base/text.h"

struct found {
    uint64_t hash; // of kinds and bytes
    size_t text;   // bytes of text
    bool pasting;
    struct tui_editor *editor; // may be NULL
    char typed[8];
    size_t typed_length;
};

static void check(const struct tui_editor *e)
{
    uint32_t code;
    size_t at = 0;
    FUZZ_HOLDS(e->length <= TUI_EDITOR_MAX);
    FUZZ_HOLDS(e->cursor <= e->length);
    FUZZ_HOLDS(e->text[e->length] == '\0');
    FUZZ_HOLDS(memchr(e->text, 0, e->length) == NULL);
    FUZZ_HOLDS(memchr(e->text, '\033', e->length) == NULL);
    FUZZ_HOLDS(dt_utf8_valid(e->text, e->length));
    while (at < e->cursor)
        at += dt_utf8_decode(e->text + at, e->length - at, &code);
    FUZZ_HOLDS(at == e->cursor); // the cursor is between characters
}

// The keys of the full screen: each byte after ESC [ chooses a function of the editor.
static void press(struct tui_editor *e, char byte)
{
    char out[TUI_EDITOR_MAX + 4];
    static void (*const keys[])(struct tui_editor *) = {
        tui_editor_left,       tui_editor_right,  tui_editor_word_left,
        tui_editor_word_right, tui_editor_home,   tui_editor_end,
        tui_editor_backspace,  tui_editor_delete, tui_editor_kill_end,
        tui_editor_kill_word,  tui_editor_yank,   tui_editor_kill_begin,
        tui_editor_search,     tui_editor_clear,  tui_editor_search_backspace,
    };
    size_t count = sizeof keys / sizeof *keys, choice = (unsigned char)byte % (count + 5);
    if (choice < count)
        keys[choice](e);
    else if (choice == count)
        tui_editor_up(e);
    else if (choice == count + 1)
        tui_editor_down(e);
    else if (choice == count + 2)
        tui_editor_search_again(e);
    else if (choice == count + 3)
        tui_editor_search_end(e, byte & 1);
    else
        tui_editor_finish(e, out, sizeof out);
}

static void type(struct found *f, const char *bytes, size_t n)
{
    if (f->editor->searching)
        tui_editor_search_add(f->editor, bytes, n);
    else
        tui_editor_insert(f->editor, bytes, n);
}

static void on_input(void *arg, enum ui_escape_kind kind, const char *bytes, size_t n)
{
    struct found *f = arg;
    f->hash = (f->hash ^ (uint64_t)kind) * 0x100000001b3ull;
    for (size_t i = 0; i < n; i++)
        f->hash = (f->hash ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
    FUZZ_HOLDS(n > 0 && n <= UI_ESCAPE_HELD);
    FUZZ_HOLDS(kind != UI_ESCAPE_TEXT || (n == 1 && bytes[0] != '\033'));
    FUZZ_HOLDS(kind != UI_ESCAPE_SEQUENCE || (n >= 2 && bytes[0] == '\033' && !f->pasting));
    FUZZ_HOLDS((kind == UI_ESCAPE_PASTE_BEGIN) <= !f->pasting);
    FUZZ_HOLDS((kind == UI_ESCAPE_PASTE_END) <= f->pasting);
    f->pasting = kind == UI_ESCAPE_PASTE_BEGIN || (f->pasting && kind != UI_ESCAPE_PASTE_END);
    f->text += kind == UI_ESCAPE_TEXT;
    if (!f->editor)
        return;
    if (kind == UI_ESCAPE_SEQUENCE) {
        f->typed_length = 0;
        press(f->editor, bytes[n - 1]);
    } else if (kind == UI_ESCAPE_TEXT) {
        f->typed[f->typed_length++] = bytes[0];
        bool whole = dt_utf8_valid(f->typed, f->typed_length);
        if (whole)
            type(f, f->typed, f->typed_length);
        if (whole || f->typed_length == 4)
            f->typed_length = 0;
    }
    check(f->editor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tui_editor editor;
    struct found at_once = {0}, by_byte = {0};
    struct ui_escape e = {.sink = on_input, .arg = &at_once};
    const char *bytes = (const char *)data;
    tui_editor_init(&editor);
    at_once.editor = &editor;
    ui_escape_push(&e, bytes, size);
    ui_escape_flush(&e);
    FUZZ_HOLDS(ui_escape_wait_ms(&e, 50) == -1); // nothing is held for ever
    FUZZ_HOLDS(at_once.text <= size);
    tui_editor_free(&editor);
    e = (struct ui_escape){.sink = on_input, .arg = &by_byte};
    for (size_t i = 0; i < size; i++)
        ui_escape_push(&e, bytes + i, 1);
    ui_escape_flush(&e);
    FUZZ_HOLDS(at_once.hash == by_byte.hash);
    return 0;
}
