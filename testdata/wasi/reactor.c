// A library: _initialize once, then calls.
#include <stdint.h>
#include <stdio.h>

static int greetings = -1;

// Runs in _initialize: without it greet counts from -1.
__attribute__((constructor)) static void initialize(void) { greetings = 0; }

__attribute__((export_name("add"))) int32_t add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

__attribute__((export_name("greet"))) void greet(void) {
	printf("greeting %d\n", ++greetings);
	fflush(stdout); // nobody exits here
}
