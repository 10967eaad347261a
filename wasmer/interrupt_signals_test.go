//go:build linux

package wasmer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// catchable are all signals that a program can do something about; those of the C library are not.
func catchable() (all []os.Signal) {
	for number := syscall.Signal(1); number <= 64; number++ {
		switch number {
		case syscall.SIGKILL, syscall.SIGSTOP, 32, 33, 34:
			continue
		}
		all = append(all, number)
	}
	return all
}

// our is the signal that stops guests.
func our() syscall.Signal { return syscall.Signal(ffi.Signal()) }

// requireStops sees that guests can be stopped.
func requireStops(t testing.TB, instance *wasmer.Instance, after string) {
	t.Helper()
	run := function(t, instance, "run")
	err := stopped(t, rand.N(2*time.Millisecond), func(ctx context.Context) error { return run.CallRaw(ctx, nil) })
	require.ErrorIs(t, err, wasmer.ErrInterrupted, after)
	require.ErrorIs(t, err, context.Canceled, after)
}

// Whatever a program does to its signals, in whatever order, guests can be stopped, and what it asked for holds.
func TestSignalsOfTheProgram(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			instance := instantiate(t, engine, closable, nil)
			require.Positive(t, int(our()))
			arrived := make(chan os.Signal, 100)
			operations := map[string]func(...os.Signal){
				"Notify": func(s ...os.Signal) { signal.Notify(arrived, s...) },
				"Ignore": signal.Ignore,
				"Reset":  signal.Reset,
				"Stop":   func(...os.Signal) { signal.Stop(arrived) },
			}
			names := []string{"Notify", "Ignore", "Reset", "Stop"}
			apply := func(name string, signals ...os.Signal) {
				operations[name](signals...)
				requireStops(t, instance, fmt.Sprint(name, signals))
			}
			for _, first := range names { // each pair of operations on ours, and on all at once
				for _, second := range names {
					apply(first, our())
					apply(second, our())
					apply(first)
					apply(second)
				}
			}
			for n, s := range catchable() {
				for _, at := range rand.Perm(len(names)) {
					operations[names[at]](s)
				}
				if n%8 == 0 || soak != "" {
					requireStops(t, instance, s.String())
				}
			}
			for range times(4000) {
				apply(names[rand.IntN(len(names))], catchable()[rand.IntN(len(catchable()))])
				if rand.IntN(10) == 0 {
					apply(names[rand.IntN(len(names))])
				}
			}
			// In the end it asks for some and gets them.
			signal.Reset()
			signal.Notify(arrived, syscall.SIGUSR1, our())
			for _, s := range []syscall.Signal{syscall.SIGUSR1, our()} {
				requireArrives(t, arrived, s, func() { require.NoError(t, syscall.Kill(os.Getpid(), s)) })
				requireStops(t, instance, "both")
				requireArrives(t, arrived, s, func() { require.NoError(t, syscall.Kill(os.Getpid(), s)) })
			}
		})
	})
}

// requireArrives sends a signal and waits for it, whatever else comes.
func requireArrives(t testing.TB, arrived chan os.Signal, want os.Signal, send func()) {
	t.Helper()
	for len(arrived) > 0 {
		<-arrived
	}
	send()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case s := <-arrived:
			if s == want {
				return
			}
		case <-timeout:
			t.Fatalf("%v does not arrive", want)
		}
	}
}

// sendEnv has a process send signals to another one: "how process thread signal".
const sendEnv = "WASMER_GO_TEST_SEND"

// sendSignal sends a signal in one of the ways that there are.
func sendSignal(how string, process, thread int, s syscall.Signal) error {
	info := [16]uint64{0: uint64(s), 1: 0xffffffff} // si_code SI_QUEUE
	info[2], info[3] = uint64(os.Getpid()), 0x1234
	var errno syscall.Errno
	switch how {
	case "kill":
		return syscall.Kill(process, s)
	case "tgkill":
		_, _, errno = syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(process), uintptr(thread), uintptr(s))
	case "sigqueue":
		rtSigqueueinfo := uintptr(129) // of amd64
		if runtime.GOARCH == "arm64" {
			rtSigqueueinfo = 138
		}
		_, _, errno = syscall.RawSyscall(rtSigqueueinfo, uintptr(process), uintptr(s), uintptr(unsafe.Pointer(&info)))
	case "tgsigqueue":
		rtTgsigqueueinfo := uintptr(297)
		if runtime.GOARCH == "arm64" {
			rtTgsigqueueinfo = 240
		}
		_, _, errno = syscall.RawSyscall6(rtTgsigqueueinfo, uintptr(process), uintptr(thread), uintptr(s), uintptr(unsafe.Pointer(&info)), 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// Signals of our number that others send are theirs, while guests run and are stopped.
func TestOtherSignalsOfTheSameNumberArrive(t *testing.T) {
	if request := os.Getenv(sendEnv); request != "" {
		fields := strings.Fields(request)
		process, _ := strconv.Atoi(fields[1])
		thread, _ := strconv.Atoi(fields[2])
		number, _ := strconv.Atoi(fields[3])
		require.NoError(t, sendSignal(fields[0], process, thread, syscall.Signal(number)))
		return
	}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer engine.Close()
	instance, busy := instantiate(t, engine, closable, nil), instantiate(t, engine, closable, nil)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	thread := make(chan int)
	ended := make(chan error, 1)
	run := function(t, busy, "run")
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- syscall.Gettid()
		ended <- run.CallRaw(ctx, nil)
	}()
	guest := <-thread
	arrived := make(chan os.Signal, 100)
	signal.Notify(arrived, our())
	defer signal.Stop(arrived)
	for _, how := range []string{"kill", "tgkill", "sigqueue", "tgsigqueue"} {
		for who, send := range map[string]func(){
			"from inside": func() { require.NoError(t, sendSignal(how, os.Getpid(), guest, our())) },
			"from outside": func() {
				child := exec.Command(os.Args[0], "-test.run=^TestOtherSignalsOfTheSameNumberArrive$")
				child.Env = append(os.Environ(), childEnv+"=send", fmt.Sprint(sendEnv, "=", how, " ", os.Getpid(), " ", guest, " ", int(our())))
				output, err := child.CombinedOutput()
				require.NoError(t, err, "%s", output)
			},
		} {
			t.Run(how+" "+who, func(t *testing.T) {
				requireArrives(t, arrived, our(), send)
				requireStops(t, instance, how)
				require.Empty(t, ended, "the guest goes on")
			})
		}
	}
	cancel()
	requireInterrupted(t, <-ended, context.Canceled)
	require.Empty(t, arrived, "ours do not arrive")
}

// A flood of them keeps guests neither from running nor from being stopped, and every one of another number arrives.
func TestFloodsOfSignals(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, closable, nil)
		arrived := make(chan os.Signal, 10)
		signal.Notify(arrived, our(), syscall.SIGUSR2)
		defer signal.Stop(arrived)
		var stop atomic.Bool
		var sent, got atomic.Int64
		var group sync.WaitGroup
		defer group.Wait()
		defer stop.Store(true)
		group.Go(func() {
			for !stop.Load() {
				_ = syscall.Kill(os.Getpid(), our())
				_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
				sent.Add(1)
				time.Sleep(20 * time.Microsecond)
			}
		})
		group.Go(func() {
			for !stop.Load() || len(arrived) > 0 {
				select {
				case <-arrived:
					got.Add(1)
				case <-time.After(time.Millisecond):
				}
			}
		})
		for range 50 {
			requireStops(t, instance, "in a flood")
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
		}
		require.Positive(t, got.Load())
	})
}

// A mask and dispositions that the program was started with.
func TestInheritedSignalSettings(t *testing.T) {
	const inheritedEnv = "WASMER_GO_TEST_INHERITED"
	if os.Getenv(inheritedEnv) != "" {
		eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
			instance := instantiate(t, engine, closable, nil)
			var group sync.WaitGroup
			for range 4 {
				other := instantiate(t, engine, closable, nil)
				group.Go(func() {
					for range 20 {
						requireStops(t, other, "inherited")
						_ = exec.Command("true").Run()
					}
				})
			}
			group.Wait()
			requireStops(t, instance, "inherited")
		})
		return
	}
	start := func(t *testing.T, prepare func() (undo func())) {
		runtime.LockOSThread() // the child begins with this thread's mask
		defer runtime.UnlockOSThread()
		child := exec.Command(os.Args[0], "-test.run=^TestInheritedSignalSettings$", "-test.v", "-test.timeout=60s")
		child.Env = append(os.Environ(), childEnv+"=inherited", inheritedEnv+"=1")
		undo := prepare()
		output, err := child.CombinedOutput()
		undo()
		require.NoError(t, err, "%s", output)
		require.Equal(t, len(wasmer.Compilers()), strings.Count(string(output), "    --- PASS"))
	}
	t.Run("blocked", func(t *testing.T) {
		start(t, func() func() {
			require.True(t, wasmtest.BlockSignals(true))
			return func() { require.True(t, wasmtest.BlockSignals(false)) }
		})
	})
	t.Run("ignored", func(t *testing.T) {
		ignored := slices.DeleteFunc(catchable(), func(s os.Signal) bool { return s == syscall.SIGCHLD || s == syscall.SIGURG || s == syscall.SIGPROF })
		path := ""
		for _, s := range ignored {
			path += " " + strconv.Itoa(int(s.(syscall.Signal)))
		}
		child := exec.Command("sh", "-c", "for s in"+path+`; do trap "" $s; done 2>/dev/null; exec "$0" "$@"`,
			os.Args[0], "-test.run=^TestInheritedSignalSettings$", "-test.v", "-test.timeout=60s")
		child.Env = append(os.Environ(), childEnv+"=inherited", inheritedEnv+"=1")
		output, err := child.CombinedOutput()
		require.NoError(t, err, "%s", output)
		require.Equal(t, len(wasmer.Compilers()), strings.Count(string(output), "    --- PASS"))
	})
}
