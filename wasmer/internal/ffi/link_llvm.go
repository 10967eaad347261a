//go:build wasmer_llvm && !wasmer_headless

package ffi

/*
#if __has_include("archive_digest_llvm.h")
#include "archive_digest_llvm.h"
#else
#error "the Rust archive with LLVM is not built: run './justw build llvm' in the module's root"
#endif

#cgo linux,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_llvm_linux_amd64.a -lstdc++ -lz -lzstd -lffi -lm
#cgo linux,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_llvm_linux_arm64.a -lstdc++ -lz -lzstd -lffi -lm
#cgo darwin,amd64 LDFLAGS: ${SRCDIR}/libwasmer_go_llvm_darwin_amd64.a -lc++ -lz -lzstd -lffi -framework CoreFoundation -framework Security -liconv
#cgo darwin,arm64 LDFLAGS: ${SRCDIR}/libwasmer_go_llvm_darwin_arm64.a -lc++ -lz -lzstd -lffi -framework CoreFoundation -framework Security -liconv
*/
import "C"

// ArchiveDigest is the SHA-256 of the linked archive, the one with LLVM.
const ArchiveDigest = C.WASMERGO_ARCHIVE_DIGEST
