/* What host functions in C, or in any language that speaks its conventions, are given. See NativeFunction of the Go package. */
#ifndef WASMER_NATIVE_H
#define WASMER_NATIVE_H

#include <stddef.h>
#include <stdint.h>

/* A guest's memory. Valid until the function returns; a guest shrinks no memory. */
typedef struct wasmer_native_memory {
	uint8_t *base;
	size_t size; /* in bytes */
} wasmer_native_memory;

/* The first argument of each native function, valid until it returns. */
typedef struct wasmer_native_call {
	void *data;                         /* NativeFunction.Data */
	const wasmer_native_memory *memory; /* the caller's: see Caller.Memory; NULL if it has none */
	const char *error;                  /* set to text that ends in 0 and outlives the function, it ends the guest */
} wasmer_native_call;

/* The bytes at an address of the caller's memory; NULL, and the end of the guest, if they are not all inside. */
static inline uint8_t *wasmer_native_bytes(wasmer_native_call *call, uint32_t address, uint32_t size) {
	if (!call->memory || size > call->memory->size || address > call->memory->size - size) {
		call->error = "out of bounds memory access";
		return NULL;
	}
	return call->memory->base + address;
}

#endif
