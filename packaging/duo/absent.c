// SPDX-License-Identifier: MIT
// Replaces libraries that the speech engines of the bundle are linked with but do not call there:
// sound servers and microphones (espeak-ng writes to its standard output, pocketsphinx reads its
// standard input; aplay and arecord use the sound card), and the linear algebra of speaker
// adaptation. Debian's own libraries add 30 MB. Functions that open a device return NULL: no
// device. The others end the program with a message. Calls and results are those of pcaudiolib's
// audio.h and sphinxbase's ad.h.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void absent(const char *what)
{
    fprintf(stderr,
            "duotale bundle: %s is not included; install the engine from the system's packages\n",
            what);
    exit(1);
}

// libpcaudio.so.0
void *create_audio_device_object(const char *device, const char *application,
                                 const char *description)
{
    (void)device, (void)application, (void)description;
    return NULL;
}

// libsphinxad.so.3
void *ad_open_dev(const char *device, int rate)
{
    (void)device, (void)rate;
    return NULL;
}

#define ABSENT(symbol, what)                                                                       \
    int symbol(void)                                                                               \
    {                                                                                              \
        absent(what);                                                                              \
    }
ABSENT(audio_object_open, "sound output of espeak-ng (pcaudiolib)")
ABSENT(audio_object_close, "sound output of espeak-ng (pcaudiolib)")
ABSENT(audio_object_destroy, "sound output of espeak-ng (pcaudiolib)")
ABSENT(audio_object_write, "sound output of espeak-ng (pcaudiolib)")
ABSENT(audio_object_drain, "sound output of espeak-ng (pcaudiolib)")
ABSENT(audio_object_flush, "sound output of espeak-ng (pcaudiolib)")
ABSENT(audio_object_strerror, "sound output of espeak-ng (pcaudiolib)")
ABSENT(ad_start_rec, "the microphone of pocketsphinx (sphinxad)")
ABSENT(ad_read, "the microphone of pocketsphinx (sphinxad)")

// libblas.so.3, liblapack.so.3
ABSENT(ssymm_, "speaker adaptation (BLAS)")
ABSENT(sposv_, "speaker adaptation (LAPACK)")
ABSENT(spotrf_, "speaker adaptation (LAPACK)")
