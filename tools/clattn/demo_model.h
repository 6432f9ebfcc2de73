/* The bytes of tests/data/smollm2-layer13-elephant.safetensors. */
#ifndef CLATTN_TOOLS_DEMO_MODEL_H
#define CLATTN_TOOLS_DEMO_MODEL_H

#include <stddef.h>
#include <stdint.h>

extern const uint64_t demo_model_words[];
extern const size_t demo_model_bytes;

#endif
