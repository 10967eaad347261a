package cgo

/*
#include <stdint.h>

static int32_t add_one(void *call, int32_t x) { (void)call; return x + 1; }
static void *add_one_pointer(void) { return (void *)add_one; }
*/
import "C"

import "unsafe"

// AddOne is a host function of C that adds one to an i32, as wasmer.Imports.Native takes it.
func AddOne() unsafe.Pointer { return C.add_one_pointer() }
