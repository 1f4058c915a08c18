// SPDX-License-Identifier: MIT
// Between the terminal and readline: passes on what was typed, and the escape sequences that
// readline has a binding for. Without it, the tail of an unknown sequence is inserted as text.
#ifndef DT_UI_LINE_KEYBOARD_H
#define DT_UI_LINE_KEYBOARD_H

#include <stdbool.h>
#include <stddef.h>

// Sets readline up to read through this file. marks_pastes: the terminal is to mark what is pasted.
// Call it after readline's other variables are set. One at a time.
void keyboard_open(bool marks_pastes);

// Reads a byte of standard input and passes on what is complete, by rl_callback_read_char(), while
// *asking is true. False if the terminal is gone.
bool keyboard_read(const bool *asking);

// How long poll() may wait until keyboard_flush() is due; -1: without limit.
int keyboard_wait_ms(void);

// Passes on an Esc that waited long enough for the rest of a sequence.
void keyboard_flush(const bool *asking);

// Whether a line feed that comes now is part of an Enter before it; and sets that, when readline
// begins to ask.
bool keyboard_follows(void);
void keyboard_follow(bool enter);

// Gives the terminal its ordinary mode, for a program that is stopped.
void keyboard_release(void);

// Takes the terminal again after other programs may have changed its mode and its size. While
// readline asks, draws the prompt and the entry in the cursor's line.
void keyboard_resume(bool asking);

// How many of the bytes that wait may have come before the terminal was in readline's mode. They
// are in the driver's form: it has turned Enter into a line feed, and Ctrl-D into a zero byte.
size_t keyboard_edited(void);

// The key that the driver has turned into this byte.
char keyboard_typed(char byte);

#endif
