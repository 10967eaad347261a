#include "heap.h"

// As in the canonical ABI: size 0 gives a dangling pointer, failure traps.
EXPORT("cabi_realloc")
void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t new_size)
{
	if (align == 0 || align > UNIT)
		__builtin_trap();
	void *ptr = (void *)align;
	if (new_size) {
		ptr = heap_alloc(new_size);
		if (!ptr)
			__builtin_trap();
		copy_bytes(ptr, old, old_size < new_size ? old_size : new_size);
	}
	if (old_size)
		heap_free_sized(old, old_size);
	return ptr;
}

EXPORT("live") uint32_t live(void)
{
	return heap_live_count;
}

EXPORT("reverse") uint64_t reverse(const char *ptr, uint32_t len)
{
	char *copy = cabi_realloc(0, 0, 1, len);
	for (uint32_t i = 0; i < len; i++)
		copy[i] = ptr[len - 1 - i];
	return pack(copy, len);
}
