/*
 * Plug-ins in C, or in any language that speaks its conventions: a shared library that offers modules of host functions, which
 * guests call without passing through Go. See LoadPlugins of the Go package.
 *
 *	#include "wasmer_plugin.h" // beside wasmer_native.h
 *
 *	static int32_t add(wasmer_native_call *call, int32_t a, int32_t b) { return a + b; }
 *
 *	static const wasmer_plugin_function functions[] = {
 *		{"add", "i32 i32", "i32", WASMER_PLUGIN_FUNCTION(add), WASMER_PLUGIN_LEAF},
 *	};
 *	static const wasmer_plugin_module modules[] = {{"math", functions, 1, NULL, NULL}};
 *	static const wasmer_plugin plugin = {WASMER_PLUGIN_ABI, "example", "1.0.0", "adds numbers", modules, 1};
 *
 *	WASMER_PLUGIN_EXPORT const wasmer_plugin *wasmer_plugin_describe(void) { return &plugin; }
 *
 * Build it with: cc -shared -fPIC -I <folder of the headers> -o example.so example.c
 */
#ifndef WASMER_PLUGIN_H
#define WASMER_PLUGIN_H

#include "wasmer_native.h"

/* The version of what is declared here. Programs refuse plug-ins of another one. */
#define WASMER_PLUGIN_ABI 1

/*
 * The function runs on the guest's stack, which saves the way to another one. It promises to need 32 KiB of stack at most, with all
 * that it calls, to return soon, and not to lock, allocate, wait, or call the system.
 */
#define WASMER_PLUGIN_LEAF 1u

/* A function as the tables below have it. */
#define WASMER_PLUGIN_FUNCTION(function) ((void (*)(void))(function))

#ifdef __cplusplus
#define WASMER_PLUGIN_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define WASMER_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

/* Texts are UTF-8, end in 0, and have 4096 bytes at most; names are printable and have 1 to 256. All of it stays as it is, where it
 * is, until the process ends: libraries are not unloaded. */

/* A host function: what its C type must be says NativeFunction of the Go package. A wrong type corrupts memory. */
typedef struct wasmer_plugin_function {
	const char *name;         /* unique in its module */
	const char *params;       /* the types, i32, i64, f32 or f64, with a space between them; NULL or "" for none */
	const char *results;      /* the same */
	void (*function)(void);   /* see WASMER_PLUGIN_FUNCTION */
	uint32_t flags;           /* WASMER_PLUGIN_LEAF, or 0 */
} wasmer_plugin_function;

/* A host module: what guests import under its name. */
typedef struct wasmer_plugin_module {
	const char *name;                        /* unique in the plug-in */
	const wasmer_plugin_function *functions;
	size_t function_count;                   /* 1 to 4096 */
	/*
	 * Makes the data that the functions find in their wasmer_native_call: once for each instance that imports any of them, so that
	 * what one guest has is out of the reach of all others. NULL if there is none. If it sets the error to text that stays, the
	 * guest is not instantiated. Runs on any thread, for several instances at once.
	 */
	void *(*open)(const char **error);
	/* Frees it, when no function can be called with it any more; NULL if there is nothing to free. Runs on any thread. */
	void (*close)(void *data);
} wasmer_plugin_module;

/* A plug-in. */
typedef struct wasmer_plugin {
	uint32_t abi;            /* WASMER_PLUGIN_ABI */
	const char *name;        /* unique in the process */
	const char *version;     /* for people; may be NULL */
	const char *description; /* for people; may be NULL */
	const wasmer_plugin_module *modules;
	size_t module_count;     /* 1 to 256 */
} wasmer_plugin;

/* What a library exports to be a plug-in. It is called when the library is loaded, and says the same each time. */
WASMER_PLUGIN_EXPORT const wasmer_plugin *wasmer_plugin_describe(void);

#endif
