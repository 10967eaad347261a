/* Work for a profile: 19 parts of it in `hot`, which needs no stack, 1 in `cold`, which calls `leaf`. */

static inline __attribute__((always_inline)) unsigned mix(unsigned x) {
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ x << 5;
}

__attribute__((noinline)) static unsigned hot(unsigned x, int n) {
	for (int i = 0; i < n; i++)
		x = mix(x);
	return x;
}

__attribute__((noinline)) static unsigned leaf(unsigned x, int n) {
	for (int i = 0; i < n; i++)
		x = mix(x) + 1;
	return x;
}

__attribute__((noinline)) static unsigned cold(unsigned x, int n) {
	return leaf(x, n) + 1;
}

__attribute__((noinline)) static unsigned work(unsigned x, int n) {
	return hot(x, 19 * n) + cold(x, n);
}

__attribute__((export_name("run"))) unsigned run(int n) {
	unsigned x = 1;
	for (int i = 0; i < n; i++)
		x = work(x, 10000);
	return x;
}

/* Traps with n + 1 frames on the stack. */
__attribute__((export_name("down"))) int down(int n) {
	if (n == 0)
		__builtin_trap();
	return 7 - down(n - 1);
}
