// Says of itself what the variable BROKEN_PLUGIN has it say: for tests of what is refused.
#include <stdlib.h>
#include <string.h>

#include "wasmer_plugin.h"

static int32_t one(wasmer_native_call *call) {
	(void)call;
	return 1;
}

static void *refuse(const char **error) {
	*error = "it will not open";
	return NULL;
}

static void nothing(void *data) { (void)data; }

static wasmer_plugin_function functions[2];
static wasmer_plugin_module modules[2];
static wasmer_plugin plugin;
static char endless[5000];

static int is(const char *what) {
	const char *broken = getenv("BROKEN_PLUGIN");
	return broken && strcmp(broken, what) == 0;
}

WASMER_PLUGIN_EXPORT const wasmer_plugin *wasmer_plugin_describe(void) {
	static const wasmer_plugin_function function = {"one", "", "i32", WASMER_PLUGIN_FUNCTION(one), 0};
	memset(endless, 'x', sizeof endless - 1);
	functions[0] = functions[1] = function;
	functions[1].name = "two";
	modules[0] = modules[1] = (wasmer_plugin_module){"broken", functions, 2, NULL, NULL};
	modules[1].name = "other";
	plugin = (wasmer_plugin){WASMER_PLUGIN_ABI, "broken", NULL, NULL, modules, 2};

	if (is("null")) return NULL;
	if (is("misaligned")) return (const wasmer_plugin *)((const char *)&plugin + 1);
	if (is("version")) plugin.abi = 7;
	if (is("no name")) plugin.name = NULL;
	if (is("long name")) plugin.name = endless + sizeof endless - 1 - 257;
	if (is("endless description")) plugin.description = endless;
	if (is("no text")) plugin.version = "\xff";
	if (is("no modules")) plugin.module_count = 0;
	if (is("too many modules")) plugin.module_count = 257;
	if (is("modules null")) plugin.modules = NULL;
	if (is("module twice")) modules[1].name = "broken";
	if (is("module without name")) modules[1].name = "";
	if (is("no functions")) modules[1].function_count = 0;
	if (is("too many functions")) modules[1].function_count = (size_t)-1;
	if (is("functions misaligned")) modules[1].functions = (const wasmer_plugin_function *)((const char *)functions + 1);
	if (is("function twice")) functions[1].name = "one";
	if (is("function without name")) functions[1].name = NULL;
	if (is("unprintable function")) functions[1].name = "a\nb";
	if (is("unknown type")) functions[1].params = "i32 v128";
	if (is("unknown result")) functions[1].results = "i32,i32";
	if (is("unknown flags")) functions[1].flags = 2;
	if (is("function null")) functions[1].function = NULL;
	if (is("function nowhere")) functions[1].function = (void (*)(void))8;
	if (is("close only")) modules[1].close = nothing;
	if (is("open nowhere")) modules[1].open = (void *(*)(const char **))8;
	if (is("refuses")) modules[0].open = refuse;
	return &plugin;
}
