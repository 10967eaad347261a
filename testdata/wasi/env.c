// env [ARG...]: prints the arguments, then the environment, sorted, one a line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(int argc, char **argv) {
	for (int i = 0; i < argc; i++) printf("arg %d: %s\n", i, argv[i]);
	size_t n = 0;
	while (environ[n] != NULL) n++;
	qsort(environ, n, sizeof *environ, by_bytes);
	for (size_t i = 0; i < n; i++) puts(environ[i]);
	return 0;
}
