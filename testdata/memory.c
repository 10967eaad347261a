#include "guest.h"

EXPORT("return_hello") const char *return_hello(void)
{
	return "Hello, World!";
}
