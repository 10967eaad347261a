package wasmer_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestFilesAreClosedWithTheirGuest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		for name, end := range map[string]func(*wasmer.Instance) error{
			"Close": (*wasmer.Instance).Close, "CloseWithExitCode": func(i *wasmer.Instance) error { return i.CloseWithExitCode(3) },
			"Close of its store": func(i *wasmer.Instance) error { return i.Store().Close() },
		} {
			for _, shared := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, shared %v", name, shared), func(t *testing.T) {
					dir := wasiFolder(t)
					wasi := wasmer.NewWASI(wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", Host: dir}, {Guest: "/sub", FS: os.DirFS(filepath.Join(dir, "sub"))}}})
					requireOpen(t, 4, dir) // two each
					imports := wasmer.NewImports().WASI(wasi)
					instance, err := wasmer.Instantiate(background, module, imports)
					if shared {
						instance, err = newStore(t, engine).Instantiate(background, "", module, imports)
					}
					require.NoError(t, err)
					p := &probe{instance, t, background}
					for range 3 {
						_, errno := p.open(3, "sub/numbers", 0)
						require.Zero(t, errno)
					}
					requireOpen(t, 4+3, dir)
					var other *wasmer.Instance
					if shared {
						other, err = instance.Store().Instantiate(background, "", module, imports)
						require.NoError(t, err)
						_, errno := (&probe{other, t, background}).open(3, "one.txt", 0)
						require.Zero(t, errno)
					}
					require.NoError(t, end(instance))
					if shared && name != "Close of its store" {
						requireOpen(t, 4+1, dir)
						require.NoError(t, other.Close())
					}
					requireOpen(t, 4, dir)
					require.NoError(t, wasi.Close())
					requireOpen(t, 0, dir)
				})
			}
		}
	})
}

func TestFilesAreClosedWhenTheGuestEndsDuringACall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		for _, name := range []string{"own store", "shared store", "another guest of the store at work"} {
			t.Run(name, func(t *testing.T) {
				dir := wasiFolder(t)
				input, typed := io.Pipe()
				defer typed.Close()
				wasi := newWASI(t, wasmer.WASIConfig{Stdin: input, Mounts: []wasmer.Mount{{Guest: "/", Host: dir}}})
				imports := wasmer.NewImports().WASI(wasi)
				instance, err := wasmer.Instantiate(background, module, imports)
				if name != "own store" {
					instance, err = newStore(t, engine).Instantiate(background, "", module, imports)
				}
				require.NoError(t, err)
				p, waiting := &probe{instance, t, background}, &probe{instance, t, background}
				_, errno := p.open(3, "one.txt", 0)
				require.Zero(t, errno)
				requireOpen(t, 3, dir)
				if name == "another guest of the store at work" {
					other, err := instance.Store().Instantiate(background, "", module, imports)
					require.NoError(t, err)
					waiting = &probe{other, t, background}
				}
				ended := make(chan error, 1)
				waiting.vectors(1)
				go func() {
					_, err := waiting.try("fd_read", 0, 0, 1, resultAddress)
					ended <- err
				}()
				time.Sleep(waitsFor)
				require.NoError(t, instance.CloseWithExitCode(3))
				if waiting.Instance != instance {
					_, _ = typed.Write([]byte{'x'})
					require.NoError(t, <-ended, "the other one goes on")
				} else {
					requireExit(t, <-ended, 3)
				}
				requireOpen(t, 2, dir)
			})
		}
	})
}

// A configuration with a mount that is wrong leaves those before it closed.
func TestWrongMountsLeaveNothingOpen(t *testing.T) {
	dir := wasiFolder(t)
	good := []wasmer.Mount{{Guest: "/a", Host: dir}, {Guest: "/b", Host: dir, ReadOnly: true}, {Guest: "/c", FS: os.DirFS(dir)}}
	for _, wrong := range []wasmer.Mount{{Guest: "/d"}, {Guest: "/a/", Host: dir}, {Guest: "/d", Host: filepath.Join(dir, "one.txt")}} {
		require.Error(t, wasmer.NewWASI(wasmer.WASIConfig{Mounts: append(good[:3:3], wrong)}).Err())
		requireOpen(t, 0, dir)
	}
}

// What fails to be instantiated leaves nothing open.
func TestFailedInstantiationsLeaveNothingOpen(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		begin := strings.TrimSuffix(opener, ")")
		for name, text := range map[string]string{
			"trap in the start function": begin + `(func $s (call $path (i32.const 0) (i32.const 7)) unreachable) (start $s))`,
			"exit in the start function": begin + `(func $s (call $path (i32.const 0) (i32.const 7)) (call $exit (i32.const 0))) (start $s))`,
			"trap in _initialize":        begin + `(func (export "_initialize") (call $path (i32.const 0) (i32.const 7)) unreachable))`,
			"missing import":             strings.Replace(opener, "(memory", `(import "env" "missing" (func)) (memory`, 1),
		} {
			t.Run(name, func(t *testing.T) {
				dir := wasiFolder(t)
				wasi := newWASI(t, wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", Host: dir}}})
				module, store := compile(t, engine, text), newStore(t, engine)
				for range 10 {
					_, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasi))
					require.Error(t, err)
					_, err = store.Instantiate(background, "name", module, wasmer.NewImports().WASI(wasi))
					require.Error(t, err)
				}
				requireOpen(t, 2, dir)
			})
		}
	})
}

// A panic or the goroutine's end in a host function leaves files open only as long as the instance.
func TestFilesAreClosedAfterAPanic(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		dir := wasiFolder(t)
		wasi := newWASI(t, wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", Host: dir}}, Yield: func() { panic("as asked") }})
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		p := newProbe(t, module, wasi)
		_, errno := p.open(3, "one.txt", 0)
		require.Zero(t, errno)
		require.PanicsWithValue(t, "as asked", func() { _, _ = p.try("sched_yield") })
		requireOpen(t, 3, dir)
		require.NoError(t, p.Close())
		requireOpen(t, 2, dir)

		gone := wasmer.NewWASI(wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", Host: dir}}, Yield: runtime.Goexit})
		defer gone.Close()
		p = newProbe(t, module, gone)
		_, errno = p.open(3, "one.txt", 0)
		require.Zero(t, errno)
		require.False(t, inGoroutine(func() { _, _ = p.try("sched_yield") }))
		requireOpen(t, 4, dir)
	})
}
