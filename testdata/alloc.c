#include "heap.h"

EXPORT("alloc") void *guest_alloc(uint32_t size)
{
	return heap_alloc(size);
}

EXPORT("dealloc") void guest_dealloc(void *ptr, uint32_t size)
{
	heap_free_sized(ptr, size);
}

EXPORT("live") uint32_t live(void)
{
	return heap_live_count;
}

EXPORT("count") uint32_t count(const char *ptr, uint32_t len)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < len; i++)
		n += ptr[i] == 'a';
	return n;
}
