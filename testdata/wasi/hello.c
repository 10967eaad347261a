// As small as it gets: one fd_write, without the C library's start.
#include <wasi/api.h>

static const char text[] = "hello, wasi\n";

void _start(void) {
	const __wasi_ciovec_t chunk = {(const uint8_t *)text, sizeof text - 1};
	__wasi_size_t written;
	if (__wasi_fd_write(1, &chunk, 1, &written) != __WASI_ERRNO_SUCCESS) __builtin_trap();
}
