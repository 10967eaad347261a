// A plug-in in C: guests count words and change text in their memory, and keep a sum that no other guest sees.
#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "wasmer_plugin.h"

static int32_t count_words(wasmer_native_call *call, int32_t text, int32_t size) {
	const uint8_t *bytes = wasmer_native_bytes(call, text, size);
	if (!bytes) return 0;
	int32_t words = 0, inside = 0;
	for (uint32_t i = 0; i < (uint32_t)size; i++) {
		int space = isspace(bytes[i]) != 0;
		words += !space && !inside;
		inside = !space;
	}
	return words;
}

static void capitals(wasmer_native_call *call, int32_t text, int32_t size) {
	uint8_t *bytes = wasmer_native_bytes(call, text, size);
	for (uint32_t i = 0; bytes && i < (uint32_t)size; i++) bytes[i] = (uint8_t)toupper(bytes[i]);
}

static atomic_int live;

static void *open_sum(const char **error) {
	int64_t *sum = calloc(1, sizeof *sum);
	if (sum) live++;
	else *error = "out of memory";
	return sum;
}

static void close_sum(void *sum) {
	free(sum);
	live--;
}

static int64_t add(wasmer_native_call *call, int64_t n) { return *(int64_t *)call->data += n; }

static void both(wasmer_native_call *call, uint64_t *results) {
	results[0] = (uint64_t)*(int64_t *)call->data;
	results[1] = (uint64_t)live;
}

static const wasmer_plugin_function text[] = {
	{"count_words", "i32 i32", "i32", WASMER_PLUGIN_FUNCTION(count_words), WASMER_PLUGIN_LEAF},
	{"capitals", "i32 i32", NULL, WASMER_PLUGIN_FUNCTION(capitals), 0},
};
static const wasmer_plugin_function sum[] = {
	{"add", "i64", "i64", WASMER_PLUGIN_FUNCTION(add), 0},
	{"add_as_leaf", "i64", "i64", WASMER_PLUGIN_FUNCTION(add), WASMER_PLUGIN_LEAF},
	{"sum_and_live", "", "i64 i32", WASMER_PLUGIN_FUNCTION(both), 0},
};
static const wasmer_plugin_module modules[] = {
	{"text", text, sizeof text / sizeof *text, NULL, NULL},
	{"sum", sum, sizeof sum / sizeof *sum, open_sum, close_sum},
};
static const wasmer_plugin plugin = {
	WASMER_PLUGIN_ABI, "example_text", "1.0.0", "words, capitals, and a sum", modules, sizeof modules / sizeof *modules,
};

WASMER_PLUGIN_EXPORT const wasmer_plugin *wasmer_plugin_describe(void) { return &plugin; }
