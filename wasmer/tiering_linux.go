package wasmer

import "syscall"

// lowerPriority makes this thread, and those that it starts, give way to the program's. It cannot be undone.
func lowerPriority() {
	const nice = 10
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice) // on Linux that is the thread; without it work is slower for others
}
