package ffi

// #cgo LDFLAGS: ${SRCDIR}/libwasmer_go_linux_arm64.a -lm
import "C"
