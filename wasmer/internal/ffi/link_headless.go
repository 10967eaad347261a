//go:build wasmer_headless

package ffi

/*
#if __has_include("archive_digest_headless.h")
#include "archive_digest_headless.h"
#else
#error "the Rust archive without compilers is not built: run './justw build headless' in the module's root"
#endif

#cgo linux,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_headless_linux_amd64.a -lm
#cgo linux,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_headless_linux_arm64.a -lm
#cgo darwin,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_headless_darwin_amd64.a -framework CoreFoundation -framework Security -liconv
#cgo darwin,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_headless_darwin_arm64.a -framework CoreFoundation -framework Security -liconv
*/
import "C"

// ArchiveDigest is the SHA-256 of the linked archive, the one without compilers.
const ArchiveDigest = C.WASMERGO_ARCHIVE_DIGEST
