// cat [FILE...]: copies files, or stdin for "-" and for no file, to stdout.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int complain(const char *name) {
	fprintf(stderr, "cat: %s: %s\n", name, strerror(errno));
	return 1;
}

static int copy(int fd, const char *name) {
	static char buffer[16 << 10];
	ssize_t n;
	while ((n = read(fd, buffer, sizeof buffer)) > 0) {
		for (ssize_t done = 0, wrote; done < n; done += wrote) {
			wrote = write(STDOUT_FILENO, buffer + done, n - done);
			if (wrote < 0) return complain("stdout");
		}
	}
	return n < 0 ? complain(name) : 0;
}

static int cat(const char *name) {
	if (strcmp(name, "-") == 0) return copy(STDIN_FILENO, "stdin");
	int fd = open(name, O_RDONLY);
	if (fd < 0) return complain(name);
	int failed = copy(fd, name);
	close(fd);
	return failed;
}

int main(int argc, char **argv) {
	if (argc < 2) return cat("-");
	int failed = 0;
	for (int i = 1; i < argc; i++) failed |= cat(argv[i]);
	return failed;
}
