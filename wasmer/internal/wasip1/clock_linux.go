package wasip1

import "golang.org/x/sys/unix"

// systemMonotonic is the clock that Go's time is measured by.
func systemMonotonic() (int64, bool) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano(), err == nil
}
