// sleep MILLISECONDS [poll]: waits, in nanosleep or in poll, and prints how many milliseconds went by.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
	if (argc < 2) {
		fputs("usage: sleep MILLISECONDS [poll]\n", stderr);
		return 2;
	}
	int milliseconds = atoi(argv[1]);
	struct timespec wait = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
	long long start = now();
	int result = argc > 2 && strcmp(argv[2], "poll") == 0 ? poll(NULL, 0, milliseconds) : nanosleep(&wait, NULL);
	if (result != 0) {
		fprintf(stderr, "sleep: %s\n", strerror(errno));
		return 1;
	}
	printf("%lld\n", (now() - start) / 1000000);
	return 0;
}
