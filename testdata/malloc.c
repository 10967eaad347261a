#include "heap.h"

EXPORT("malloc") void *guest_malloc(uint32_t size)
{
	return heap_alloc(size);
}

EXPORT("free") void guest_free(void *ptr)
{
	heap_free(ptr);
}

EXPORT("live") uint32_t live(void)
{
	return heap_live_count;
}

EXPORT("upper") uint64_t upper(const char *ptr, uint32_t len)
{
	char *copy = heap_alloc(len);
	if (!copy)
		__builtin_trap();
	for (uint32_t i = 0; i < len; i++) {
		char c = ptr[i];
		copy[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	return pack(copy, len);
}
