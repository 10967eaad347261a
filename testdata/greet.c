#include "heap.h"

EXPORT("allocate") void *allocate(uint32_t size)
{
	return heap_alloc(size);
}

EXPORT("deallocate") void deallocate(void *ptr, uint32_t size)
{
	heap_free_sized(ptr, size);
}

EXPORT("greet") char *greet(const char *subject)
{
	static const char hello[] = "Hello, ";
	const uint32_t head = sizeof hello - 1;
	uint32_t len = 0;
	while (subject[len])
		len++;
	char *greeting = heap_alloc(head + len + 2);
	if (!greeting)
		return 0;
	copy_bytes(greeting, hello, head);
	copy_bytes(greeting + head, subject, len);
	copy_bytes(greeting + head + len, "!", 2);
	return greeting;
}
