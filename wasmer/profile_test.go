package wasmer_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// startProfile begins a profile, whose function ends it and writes it to a file.
func startProfile(t *testing.T, config wasmer.ProfileConfig) (stop func() string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("profiles need Linux")
	}
	var out bytes.Buffer
	profile, err := wasmer.StartProfile(&out, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = profile.Stop() })
	return func() string {
		require.NoError(t, profile.Stop())
		file := filepath.Join(t.TempDir(), "guest.pprof")
		require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
		return file
	}
}

// goToolPprof is what go tool pprof makes of a profile.
func goToolPprof(t *testing.T, file string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command("go", append(append([]string{"tool", "pprof"}, args...), file)...)
	command.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
	command.Stderr = &stderr
	output, err := command.Output()
	require.NoError(t, err, stderr.String())
	return string(output)
}

// processTime is the CPU time of the process.
func processTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// spend runs the guest until the process has used this much CPU time.
func spend(t *testing.T, instance *wasmer.Instance, d time.Duration) {
	run := function(t, instance, "run")
	for begin := processTime(t); processTime(t)-begin < d; {
		if _, err := run.Call(background, 100); err != nil {
			t.Error(err)
			return
		}
	}
}

// shares are the percentages of samples: in the function itself, and in what it calls.
func shares(t *testing.T, top, function string) (flat, cum float64) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^\s*\S+\s+([0-9.]+)%\s+\S+\s+\S+\s+([0-9.]+)%\s+` + regexp.QuoteMeta(function) + `( \(inline\))?$`)
	found := line.FindStringSubmatch(top)
	require.NotNil(t, found, "%s in:\n%s", function, top)
	flat, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	cum, err = strconv.ParseFloat(found[2], 64)
	require.NoError(t, err)
	return flat, cum
}

func TestProfilesTellWhereGuestsSpendTime(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "debug/hot.wasm"), nil)
		stop := startProfile(t, wasmer.ProfileConfig{Rate: 1000})
		spend(t, instance, 600*time.Millisecond)
		require.NoError(t, instance.Close(), "what is freed meanwhile keeps its names")
		file := stop()

		top := goToolPprof(t, file, "-top", "-noinlines")
		flat, cum := shares(t, top, "hot")
		require.Greater(t, flat, 80.0, top)
		require.InDelta(t, flat, cum, 0.1, top)
		for _, function := range []string{"work", "run"} {
			flat, cum := shares(t, top, function)
			require.Less(t, flat, 5.0, top)
			require.Greater(t, cum, 99.0, "the stacks are whole:\n%s", top)
		}
		_, cold := shares(t, top, "cold")
		require.Less(t, cold, 20.0, top)
		require.Positive(t, cold)

		raw := goToolPprof(t, file, "-raw")
		require.Contains(t, raw, "/guests/hot.c")
		if engine.Compiler() == wasmer.Cranelift { // Singlepass tells the lines of calls only
			require.Regexp(t, `mix /guests/hot\.c:[4-6]`, raw, "inlined functions")
		}
	})
}

func TestProfilesSumUpToTheTimeOfTheirThreads(t *testing.T) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer engine.Close()
	module := compile(t, engine, wasmtest.Fixture(t, "debug/hot.wasm"))
	stop := startProfile(t, wasmer.ProfileConfig{})
	before := processTime(t)
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			instance, err := module.Instantiate()
			if err != nil {
				t.Error(err)
				return
			}
			defer instance.Close()
			spend(t, instance, 800*time.Millisecond)
		})
	}
	wait.Wait()
	used := processTime(t) - before
	raw := goToolPprof(t, stop(), "-raw")
	var sum time.Duration
	for _, line := range regexp.MustCompile(`(?m)^\s+\d+\s+(\d+): `).FindAllStringSubmatch(raw, -1) {
		ns, err := strconv.Atoi(line[1])
		require.NoError(t, err)
		sum += time.Duration(ns)
	}
	require.InDelta(t, used.Seconds(), sum.Seconds(), 0.3*used.Seconds(), "%v used, %v in the profile", used, sum)
}

func TestProfilesKnowModulesThatAreGone(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm := wasmtest.Fixture(t, "debug/hot.wasm")
		stop := startProfile(t, wasmer.ProfileConfig{Rate: 1000})
		for begin := time.Now(); time.Since(begin) < 400*time.Millisecond; {
			module, err := engine.Compile(background, wasm)
			require.NoError(t, err)
			instance, err := module.Instantiate()
			require.NoError(t, err)
			_, err = function(t, instance, "run").Call(background, 20)
			require.NoError(t, err)
			require.NoError(t, instance.Close())
			require.NoError(t, module.Close())
		}
		top := goToolPprof(t, stop(), "-top", "-noinlines")
		flat, _ := shares(t, top, "hot")
		require.Greater(t, flat, 50.0, top)
	})
}

func TestProfilesRunBesideGosOwn(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		runtime.SetCPUProfileRate(1000)
		require.NoError(t, pprof.StartCPUProfile(io.Discard)) // complains about the rate, and keeps it
		defer pprof.StopCPUProfile()
		module := compile(t, engine, wasmtest.Fixture(t, "debug/hot.wasm"))
		traps := compile(t, engine, wasmtest.Fixture(t, "traps.wasm"))
		stop := startProfile(t, wasmer.ProfileConfig{Rate: 10_000})
		end := time.Now().Add(700 * time.Millisecond)
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for time.Now().Before(end) {
					instance, err := module.Instantiate()
					if err != nil {
						t.Error(err)
						return
					}
					ctx, cancel := context.WithTimeout(background, 2*time.Millisecond)
					_, _ = function(t, instance, "run").Call(ctx, 1_000_000)
					cancel()
					_ = instance.Close()
				}
			})
			wait.Go(func() {
				for time.Now().Before(end) {
					instance, err := traps.Instantiate()
					if err != nil {
						t.Error(err)
						return
					}
					for _, export := range []string{"unreachable", "out_of_bounds", "div_by_zero", "stack_overflow", "out_of_bounds_fill"} {
						_, err := function(t, instance, export).Call(background)
						if err == nil {
							t.Error("no trap")
						}
					}
					_ = instance.Close()
				}
			})
		}
		wait.Wait()
		_, cum := shares(t, goToolPprof(t, stop(), "-top", "-noinlines"), "hot")
		require.Positive(t, cum)
	})
}

func TestOneProfileIsTakenAtATime(t *testing.T) {
	for _, rate := range []int{-1, 10_001} {
		_, err := wasmer.StartProfile(io.Discard, wasmer.ProfileConfig{Rate: rate})
		require.ErrorContains(t, err, "Rate")
	}
	stop := startProfile(t, wasmer.ProfileConfig{})
	_, err := wasmer.StartProfile(io.Discard, wasmer.ProfileConfig{})
	require.ErrorIs(t, err, wasmer.ErrProfiling)
	empty := stop()
	goToolPprof(t, empty, "-raw")
	failing, err := wasmer.StartProfile(failingWriter{}, wasmer.ProfileConfig{})
	require.NoError(t, err)
	require.ErrorIs(t, failing.Stop(), io.ErrShortWrite)
	require.ErrorIs(t, failing.Stop(), io.ErrShortWrite)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestCLIWritesProfiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("profiles need Linux")
	}
	file := filepath.Join(t.TempDir(), "out.pprof")
	guest := wasmtest.Path(t, "debug/hot.wasm")
	r := cliExecute("", "run", "--profile", file, "--perf-map", guest, "--invoke", "run", "1500")
	defer os.Remove("/tmp/perf-" + strconv.Itoa(os.Getpid()) + ".map")
	require.Zero(t, r.status, r.stderr)
	flat, _ := shares(t, goToolPprof(t, file, "-top", "-noinlines"), "hot")
	require.Greater(t, flat, 80.0)
	names, err := os.ReadFile("/tmp/perf-" + strconv.Itoa(os.Getpid()) + ".map")
	require.NoError(t, err)
	require.Contains(t, string(names), ".hot\n")

	requireCLIFailure(t, cliExecute("", "run", "--profile", t.TempDir(), guest, "--invoke", "run", "1"), 1, "--profile: is a directory")
	requireCLIFailure(t, cliExecute("", "run", "--profile", file, wasmtest.Path(t, "traps.wasm"), "--invoke", "unreachable"), 134)
	goToolPprof(t, file, "-raw")
}
