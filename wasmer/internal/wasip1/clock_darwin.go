package wasip1

// systemMonotonic is not to be had: the clock that Go's time is measured by has no name for other code.
func systemMonotonic() (int64, bool) { return 0, false }
