// Host functions for the tests of native functions.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "wasmer_native.h"

typedef wasmer_native_call call;

void native_nothing(call *c) {}
int32_t native_increment(call *c, int32_t x) { return x + 1; }
int64_t native_five(call *c, int32_t a, int64_t b, int32_t d, int64_t e, int32_t f) {
	return a + 10 * b + 100 * (int64_t)d + 1000 * e + 10000 * (int64_t)f;
}
float native_narrow(call *c, int32_t x) { return x / 2.0f; }
double native_mixed(call *c, int32_t a, double b, int64_t d, float e) { return a + 10 * b + 100 * d + 1000 * e; }
int64_t native_many(call *c, int32_t a, float b, int64_t d, double e, int32_t f, float g, int64_t h, double i, int32_t j, float k,
	int64_t l, double m, int32_t n, float o, int64_t p, double q, int32_t r, float s, int64_t t, double u) {
	return a + 2 * b + 3 * d + 5 * e + 7 * f + 11 * g + 13 * h + 17 * i + 19 * j + 23 * k + 29 * l + 31 * m + 37 * n + 41 * o +
		43 * p + 47 * q + 53 * r + 59 * s + 61 * t + 67 * u;
}
void native_quotient(call *c, int32_t a, int32_t b, uint64_t *results) {
	results[0] = (uint32_t)(a / b);
	results[1] = (uint32_t)(a % b);
}
double native_fill(call *c, double value, int32_t at, int32_t size) {
	uint8_t *bytes = wasmer_native_bytes(c, at, size);
	if (bytes) memset(bytes, (int)value, size);
	return c->memory ? c->memory->size : -1;
}
int64_t native_count(call *c, int64_t n) { return *(int64_t*)c->data += n; }
int32_t native_fail(call *c, int32_t n) {
	if (n < 0) c->error = "less than nothing";
	return n;
}

#ifdef __APPLE__
static int on_own_stack(void) {
	char here, *high = pthread_get_stackaddr_np(pthread_self());
	return &here < high && &here >= high - pthread_get_stacksize_np(pthread_self());
}
#else
static int on_own_stack(void) {
	pthread_attr_t attributes;
	void *low;
	size_t size;
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstack(&attributes, &low, &size);
	pthread_attr_destroy(&attributes);
	char here;
	return &here >= (char*)low && &here < (char*)low + size;
}
#endif
int32_t native_where(call *c) { return on_own_stack(); }

// Takes what a leaf function may take.
int32_t native_touch(call *c) {
	volatile char frame[31 << 10];
	for (size_t at = 0; at < sizeof frame; at += 1024) frame[at] = 1;
	return frame[0] + on_own_stack() - 1;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *kept[64];
static unsigned turns;
static atomic_int inside;

// Takes much stack, the lock, and memory of all sizes, and its time.
int32_t native_hold(call *c, int32_t microseconds) {
	volatile char frame[200 << 10];
	for (size_t at = 0; at < sizeof frame; at += 1024) frame[at] = 1;
	pthread_mutex_lock(&lock);
	atomic_store(&inside, 1);
	struct timespec begin, now;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		unsigned turn = turns++;
		free(kept[turn % 64]);
		size_t size = turn * 7919 % 9973;
		kept[turn % 64] = memset(malloc(size + 1), turn, size + 1);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < microseconds);
	atomic_store(&inside, 0);
	pthread_mutex_unlock(&lock);
	return frame[0];
}
int native_sound(void) {
	if (pthread_mutex_trylock(&lock) != 0) return 0;
	for (int i = 0; i < 64; i++) {
		free(kept[i]);
		kept[i] = 0;
	}
	int outside = !atomic_load(&inside);
	pthread_mutex_unlock(&lock);
	return outside;
}
