#include "guest.h"

IMPORT("env", "sum") int32_t sum(int32_t x, int32_t y);

EXPORT("add1") int32_t add1(int32_t x, int32_t y)
{
	return (int32_t)((uint32_t)sum(x, y) + 1);
}
