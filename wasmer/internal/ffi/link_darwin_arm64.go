package ffi

// #cgo LDFLAGS: ${SRCDIR}/libwasmer_go_darwin_arm64.a -framework CoreFoundation -framework Security -liconv
import "C"
