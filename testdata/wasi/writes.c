// writes N: writes N lines to stdout, each with an fd_write of its own.
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
	static const char line[] = "one line, written on its own\n";
	for (int n = argc > 1 ? atoi(argv[1]) : 0; n > 0; n--) {
		if (write(STDOUT_FILENO, line, sizeof line - 1) != sizeof line - 1) return 1;
	}
	return 0;
}
