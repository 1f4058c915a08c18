// SPDX-License-Identifier: MIT
// Sound files: whole or in small pieces, the samples are the same, and nothing is read beyond the
// bytes.
#include "fuzz.h"

// The fuzzers link only core and base.
#include "host/array.c"
#include "host/audio/resample.c"
#include "host/audio/wav.c"

struct sum {
    uint64_t frames, hash;
};

static dt_status add(void *arg, const struct dt_wav_format *format, const int16_t *samples,
                     size_t n, struct dt_error *err)
{
    struct sum *sum = arg;
    (void)err;
    FUZZ_HOLDS(format->channels > 0 && format->rate >= 1000);
    for (size_t i = 0; i < n; i++)
        sum->hash = sum->hash * 31 + (uint16_t)samples[i];
    sum->frames += n;
    return DT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum whole = {0}, pieces = {0};
    struct dt_wav_parser a = {.sink = add, .arg = &whole}, b = {.sink = add, .arg = &pieces};
    dt_status status = dt_wav_parser_push(&a, data, size, NULL), again = DT_OK;
    size_t step = size ? data[size - 1] % 23 + 1u : 1;
    for (size_t at = 0; at < size && again == DT_OK; at += step) {
        size_t n = size - at < step ? size - at : step;
        uint8_t *piece = malloc(n); // exact size: sanitizers detect overruns
        memcpy(piece, data + at, n);
        again = dt_wav_parser_push(&b, piece, n, NULL);
        free(piece);
    }
    FUZZ_HOLDS(status == again && whole.frames == pieces.frames && whole.hash == pieces.hash);
    if (status == DT_OK)
        FUZZ_HOLDS(dt_wav_parser_finish(&a, NULL) == dt_wav_parser_finish(&b, NULL));
    return 0;
}
