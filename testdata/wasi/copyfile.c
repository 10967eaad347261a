// copyfile SOURCE TARGET: copies a file in steps of 64 KiB.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int complain(const char *name) {
	fprintf(stderr, "copyfile: %s: %s\n", name, strerror(errno));
	return 1;
}

int main(int argc, char **argv) {
	if (argc != 3) {
		fputs("usage: copyfile SOURCE TARGET\n", stderr);
		return 2;
	}
	int from = open(argv[1], O_RDONLY);
	if (from < 0) return complain(argv[1]);
	int to = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (to < 0) return complain(argv[2]);
	static char buffer[64 << 10];
	ssize_t n;
	while ((n = read(from, buffer, sizeof buffer)) > 0) {
		for (ssize_t done = 0, wrote; done < n; done += wrote) {
			wrote = write(to, buffer + done, n - done);
			if (wrote < 0) return complain(argv[2]);
		}
	}
	if (n < 0) return complain(argv[1]);
	return close(to) < 0 ? complain(argv[2]) : 0;
}
