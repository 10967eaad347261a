//go:build !wasmer_llvm && !wasmer_headless && !wasmer_nn

package ffi

/*
#if __has_include("archive_digest.h")
#include "archive_digest.h"
#else
#error "the Rust archive is not built: run './justw build' in the module's root"
#endif

#cgo linux,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_linux_amd64.a -lm
#cgo linux,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_linux_arm64.a -lm
#cgo darwin,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_darwin_amd64.a -framework CoreFoundation -framework Security -liconv
#cgo darwin,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_darwin_arm64.a -framework CoreFoundation -framework Security -liconv
*/
import "C"

// ArchiveDigest is the SHA-256 of the linked archive. As a part of the compiled package it makes Go's build cache
// notice a changed archive.
const ArchiveDigest = C.WASMERGO_ARCHIVE_DIGEST
