// SPDX-License-Identifier: MIT
// expf with the same bits as glibc's, on every machine and with every C library.
#ifndef DT_BASE_EXPF_H
#define DT_BASE_EXPF_H

// e^x, for every float the bits of glibc's expf (on machines with fused multiply-add) in
// round-to-nearest mode. NaN gives NaN. Does not set errno. Any thread.
float dt_expf(float x);

#endif
