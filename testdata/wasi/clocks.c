// clocks N: reads the monotonic clock N times and exits with 1 if it goes back, then prints the wall clock's seconds.
#include <stdio.h>
#include <stdlib.h>
#include <wasi/api.h>

static __wasi_timestamp_t read_clock(__wasi_clockid_t clock) {
	__wasi_timestamp_t t;
	if (__wasi_clock_time_get(clock, 1, &t) != __WASI_ERRNO_SUCCESS) abort();
	return t;
}

int main(int argc, char **argv) {
	__wasi_timestamp_t last = 0;
	for (int n = argc > 1 ? atoi(argv[1]) : 0; n > 0; n--) {
		__wasi_timestamp_t t = read_clock(__WASI_CLOCKID_MONOTONIC);
		if (t < last) return 1;
		last = t;
	}
	printf("%llu\n", read_clock(__WASI_CLOCKID_REALTIME) / 1000000000);
	return 0;
}
