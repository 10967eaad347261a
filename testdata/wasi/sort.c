// Sorts the lines of stdin by their bytes, all in memory.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *at_least(void *block, size_t size) {
	block = realloc(block, size);
	if (block == NULL) {
		fputs("sort: out of memory\n", stderr);
		exit(1);
	}
	return block;
}

// All of stdin, with a newline and a NUL after it.
static char *input(size_t *length) {
	size_t room = 1 << 16;
	char *text = at_least(NULL, room);
	for (ssize_t n = 1; n > 0; *length += n) {
		if (room - *length < (1 << 15)) text = at_least(text, room *= 2);
		n = read(STDIN_FILENO, text + *length, room - *length - 2);
		if (n < 0) {
			fprintf(stderr, "sort: stdin: %s\n", strerror(errno));
			exit(1);
		}
	}
	if (*length > 0 && text[*length - 1] != '\n') text[(*length)++] = '\n';
	text[*length] = 0;
	return text;
}

// Merges the sorted halves of lines, by way of spare.
static void merge(char **lines, char **spare, size_t middle, size_t n) {
	memcpy(spare, lines, middle * sizeof *lines);
	for (size_t i = 0, j = middle, to = 0; i < middle; to++) {
		lines[to] = j == n || strcmp(spare[i], lines[j]) <= 0 ? spare[i++] : lines[j++];
	}
}

// The C library's qsort takes ten times as long.
static void sort(char **lines, char **spare, size_t n) {
	if (n < 2) return;
	size_t middle = n / 2;
	sort(lines, spare, middle);
	sort(lines + middle, spare, n - middle);
	merge(lines, spare, middle, n);
}

int main(void) {
	size_t length = 0, n = 0, room = 0;
	char *text = input(&length), *end = text + length;
	char **lines = NULL;
	for (char *line = text; line < end;) {
		if (n == room) lines = at_least(lines, (room = 2 * room + 1024) * sizeof *lines);
		lines[n++] = line;
		line = memchr(line, '\n', end - line);
		*line++ = 0;
	}
	sort(lines, at_least(NULL, (n / 2 + 1) * sizeof *lines), n);

	static char buffer[64 << 10];
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	for (size_t i = 0; i < n; i++) puts(lines[i]);
	return fflush(stdout) == 0 ? 0 : 1;
}
