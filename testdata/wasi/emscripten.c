// What Emscripten's own malloc asks of the host: 16 MB, which the memory has only if it grows. Exits with 1 if it does not.
// The pointers are volatile lest the compiler does without the allocations.
#include <stdlib.h>

int main(void) {
	char *volatile a = malloc(8000000);
	char *volatile b = malloc(8000000);
	return a == NULL || b == NULL;
}
