// What the programs of this folder have in common. Each is one file that exports run(size) and needs no C library, so that
// the same source makes a guest and a native library.
#ifndef COMPUTE_H
#define COMPUTE_H

#include <stdint.h>

#ifdef __wasm__
#define RUN __attribute__((export_name("run"))) uint64_t run(uint32_t size)
#else
#define RUN __attribute__((visibility("default"))) uint64_t run(uint32_t size)
#endif

// FNV-1a, a word at a time.
#define CHECKSUM_START 0xcbf29ce484222325ull

__attribute__((unused)) static uint64_t checksum(uint64_t sum, uint64_t word)
{
	return (sum ^ word) * 0x100000001b3ull;
}

__attribute__((unused)) static uint64_t bits(double x)
{
	union {
		double number;
		uint64_t bits;
	} u = { x };
	return u.bits;
}

// Xorshift: a state other than zero never becomes zero.
__attribute__((unused)) static uint32_t next(uint32_t *state)
{
	uint32_t x = *state;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

#endif
