//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package ffi

/*
#if __has_include("archive_digest_nn.h")
#include "archive_digest_nn.h"
#else
#error "the Rust archive with inference is not built: run './justw build nn' in the module's root"
#endif

// tract's assembly does not say that it needs no executable stack.
#cgo linux,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_nn_linux_amd64.a -lm -Wl,-z,noexecstack
#cgo linux,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_nn_linux_arm64.a -lm -Wl,-z,noexecstack
#cgo darwin,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_nn_darwin_amd64.a -framework CoreFoundation -framework Security -liconv
#cgo darwin,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_nn_darwin_arm64.a -framework CoreFoundation -framework Security -liconv
*/
import "C"

// ArchiveDigest is the SHA-256 of the linked archive, the one with inference.
const ArchiveDigest = C.WASMERGO_ARCHIVE_DIGEST
