package ffi

// #cgo LDFLAGS: ${SRCDIR}/libwasmer_go_darwin_amd64.a -framework CoreFoundation -framework Security -liconv
import "C"
