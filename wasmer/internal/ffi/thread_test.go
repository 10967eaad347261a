package ffi

import "runtime"

// onThread runs the body on a thread of its own, with the thread's id.
func onThread(body func(id uintptr)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	body(ThreadID())
}
