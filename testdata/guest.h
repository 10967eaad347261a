// Shared by the C guests: they are linked without any C library.
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) \
	__attribute__((import_module(module), import_name(name)))

__attribute__((unused)) static void *copy_bytes(void *to, const void *from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;
	for (size_t i = 0; i < n; i++)
		t[i] = f[i];
	return to;
}

// The compiler may emit calls to these two even in freestanding code.
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	return copy_bytes(to, from, n);
}

void *memset(void *to, int value, size_t n)
{
	unsigned char *t = to;
	for (size_t i = 0; i < n; i++)
		t[i] = (unsigned char)value;
	return to;
}

// Two 32-bit halves in one i64: lets a guest without multi-value return a slice.
__attribute__((unused)) static uint64_t pack(const void *ptr, uint32_t len)
{
	return (uint64_t)(uintptr_t)ptr << 32 | len;
}

#endif
