#include "guest.h"

// Unsigned, because signed overflow is undefined in C.
EXPORT("sum") int32_t sum(int32_t x, int32_t y)
{
	return (int32_t)((uint32_t)x + (uint32_t)y);
}
