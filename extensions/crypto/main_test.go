package crypto_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// Keys whose generation was not waited for are made all the same: nothing else may be left.
func TestMain(m *testing.M) {
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	for range 6000 {
		if code != 0 || runtime.NumGoroutine() <= goroutines+4 { // Go's own, for cleanups and the collector
			os.Exit(code)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "FAIL: after all tests:", runtime.NumGoroutine(), "goroutines,", goroutines, "before")
	os.Exit(1)
}
