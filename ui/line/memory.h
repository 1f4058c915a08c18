// SPDX-License-Identifier: MIT
// What readline does when memory is short: by itself it would end the process, with what is still
// to be saved.
#ifndef DT_UI_LINE_MEMORY_H
#define DT_UI_LINE_MEMORY_H

#include <setjmp.h>

// From now on readline jumps there with the value 1 when it gets no memory, and must not be called
// any more afterwards, except to restore the terminal. NULL: nowhere. The thread of the front end.
void memory_set_way_out(jmp_buf *way);

#endif
