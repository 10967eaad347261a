// Complains, then traps.
#include <stdio.h>

int main(void) {
	fputs("abort: giving up\n", stderr);
	__builtin_trap();
}
