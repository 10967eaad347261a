package ffi

// #cgo LDFLAGS: ${SRCDIR}/libwasmer_go_linux_amd64.a -lm
import "C"
