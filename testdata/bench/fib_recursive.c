#include "../guest.h"

EXPORT("fib") int32_t fib(int32_t n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

EXPORT("app_main") int32_t app_main(void)
{
	return fib(30);
}
