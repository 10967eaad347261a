// Copies stdin to stdout in steps of 64 KiB.
#include <unistd.h>

int main(void) {
	static char buffer[64 << 10];
	ssize_t n;
	while ((n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0) {
		for (ssize_t done = 0, wrote; done < n; done += wrote) {
			wrote = write(STDOUT_FILENO, buffer + done, n - done);
			if (wrote < 0) return 1;
		}
	}
	return n < 0;
}
