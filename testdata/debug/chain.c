/* Inlined calls: the trap is two calls deep in `leaf`. */

static inline __attribute__((always_inline)) int check(int x) {
	if (x > 2)
		__builtin_trap();
	return x + 1;
}

static inline __attribute__((always_inline)) int step(int x) { return check(x) * 2; }

__attribute__((noinline)) static int leaf(int x) {
	return step(x) + 3;
}

__attribute__((noinline)) static int middle(int x) {
	return leaf(x + 1) * 5;
}

__attribute__((export_name("run"))) int run(int x) {
	return middle(x) - 1;
}
