//go:build unix

package wasmer_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// ends are how a program can end while guests run, and the status that it then has.
var ends = []struct {
	name   string
	end    func()
	status func(syscall.WaitStatus) bool
}{
	{"os.Exit", func() { os.Exit(7) }, func(s syscall.WaitStatus) bool { return s.ExitStatus() == 7 }},
	{"panic", func() { go panic("the end") }, func(s syscall.WaitStatus) bool { return s.ExitStatus() == 2 }},
	{"SIGTERM", func() { _ = syscall.Kill(os.Getpid(), syscall.SIGTERM) }, func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == syscall.SIGTERM }},
	{"SIGKILL", func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }, func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == syscall.SIGKILL }},
	{"SIGQUIT", func() { _ = syscall.Kill(os.Getpid(), syscall.SIGQUIT) }, func(s syscall.WaitStatus) bool { return s.ExitStatus() == 2 }},
}

// exitEnv is the number of the end that a child is to come to.
const exitEnv = "WASMER_GO_TEST_END"

// The end of a process while guests run, and are being stopped, is as without any.
func TestProcessesEndWhileGuestsRun(t *testing.T) {
	if end := os.Getenv(exitEnv); end != "" {
		endProcess(t, end)
		return
	}
	rounds := 2
	switch soak {
	case "short":
		rounds = 20
	case "long":
		rounds = 1000 / len(ends)
	}
	for range rounds {
		for number, end := range ends {
			child := exec.Command(os.Args[0], "-test.run=^TestProcessesEndWhileGuestsRun$", "-test.timeout=60s")
			child.Env = append(os.Environ(), childEnv+"="+t.Name(), fmt.Sprint(exitEnv, "=", number))
			output, err := child.CombinedOutput()
			var status syscall.WaitStatus
			if child.ProcessState != nil {
				status = child.ProcessState.Sys().(syscall.WaitStatus)
			}
			require.True(t, end.status(status), "%s: %v:\n%.3000s", end.name, err, output)
			require.NotContains(t, string(output), "SIGSEGV", end.name)
		}
	}
}

func endProcess(t *testing.T, number string) {
	var n int
	_, err := fmt.Sscan(number, &n)
	require.NoError(t, err)
	for _, compiler := range wasmer.Compilers() {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
		require.NoError(t, err)
		s := &storm{module: compile(t, engine, stormGuest), err: fmt.Errorf("the host's error")}
		for range 4 {
			go func() {
				instance, err := s.instantiate()
				for err == nil {
					err = s.turn(instance)
				}
			}()
		}
	}
	time.Sleep(time.Duration(os.Getpid()%20) * time.Millisecond)
	ends[n].end()
	select {} // until it has come
}

// A program that takes a signal like this is what a shell or a service manager starts.
func TestAChildOfAProgramWithGuestsIsAsAnyOther(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, closable, nil)
		run := function(t, instance, "run")
		ended := make(chan error, 1)
		go func() { ended <- run.CallRaw(background, nil) }()
		if runtime.GOOS == "linux" {
			output, err := exec.Command("cat", "/proc/self/status").Output()
			require.NoError(t, err)
			own, err := os.ReadFile("/proc/self/status")
			require.NoError(t, err)
			require.Equal(t, statusField(string(own), "SigIgn"), statusField(string(output), "SigIgn"))
			blocked, err := strconv.ParseUint(statusField(string(output), "SigBlk"), 16, 64)
			require.NoError(t, err)
			require.Zero(t, blocked>>(ffi.Signal()-1)&1, "%x", blocked)
			require.Regexp(t, "^0+$", statusField(string(output), "SigCgt"))
		}
		for range 20 {
			output, err := exec.Command("echo", "fine").Output()
			require.NoError(t, err)
			require.Equal(t, "fine\n", string(output))
		}
		require.NoError(t, instance.Close())
		require.ErrorIs(t, <-ended, wasmer.ErrClosed)
	})
}

// statusField is one of /proc/self/status.
func statusField(status, name string) string {
	lines := bufio.NewScanner(strings.NewReader(status))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
