package wasmtest

// #cgo CFLAGS: -I${SRCDIR}/../..
// #include <stdlib.h>
//
// void native_nothing(void);
// void native_increment(void);
// void native_five(void);
// void native_narrow(void);
// void native_mixed(void);
// void native_many(void);
// void native_quotient(void);
// void native_fill(void);
// void native_count(void);
// void native_fail(void);
// void native_where(void);
// void native_touch(void);
// void native_hold(void);
// int native_sound(void);
import "C"

import "unsafe"

// Native are host functions in C by name; see native.c.
func Native() map[string]unsafe.Pointer {
	return map[string]unsafe.Pointer{
		"nothing":   C.native_nothing,
		"increment": C.native_increment,
		"five":      C.native_five,
		"narrow":    C.native_narrow,
		"mixed":     C.native_mixed,
		"many":      C.native_many,
		"quotient":  C.native_quotient,
		"fill":      C.native_fill,
		"count":     C.native_count,
		"fail":      C.native_fail,
		"where":     C.native_where,
		"touch":     C.native_touch,
		"hold":      C.native_hold,
	}
}

// NewCounter makes the data of the native function count; FreeCounter frees it.
func NewCounter() unsafe.Pointer { return C.calloc(1, 8) }

// Count reads a counter.
func Count(counter unsafe.Pointer) int64 { return *(*int64)(counter) }

// FreeCounter frees what NewCounter has made.
func FreeCounter(counter unsafe.Pointer) { C.free(counter) }

// Sound reports whether the native function hold, which runs no more, has left its lock free, and frees what it has kept.
func Sound() bool { return C.native_sound() != 0 }
