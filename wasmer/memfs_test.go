package wasmer_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A file system in memory: the host fills it, mounts it for a guest, and reads what the guest has written.
func ExampleMemFS() {
	ctx := context.Background()
	files := wasmer.NewMemFS()
	if err := files.WriteFile("greeting", []byte("Hello from the host!")); err != nil {
		log.Fatal(err)
	}
	wasi := wasmer.NewWASI(wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: files}}})
	defer wasi.Close()

	// The guest copies the file greeting to the file copy.
	instance, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "wasi_snapshot_preview1" "path_open"
		    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
		  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
		  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		  (memory (export "memory") 1)
		  (data (i32.const 0) "greetingcopy")
		  (data (i32.const 16) "\40\00\00\00\00\01\00\00") ;; 256 bytes at 64
		  (func (export "_start")
		    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 8)
		      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))
		    (drop (call $read (i32.load (i32.const 32)) (i32.const 16) (i32.const 1) (i32.const 20)))
		    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 4)
		      (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32)))
		    (drop (call $write (i32.load (i32.const 32)) (i32.const 16) (i32.const 1) (i32.const 36)))))`),
		wasmer.NewImports().WASI(wasi))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	if err := instance.Start(ctx); err != nil {
		log.Fatal(err)
	}

	text, err := files.ReadFile("copy")
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// Hello from the host! <nil>
}

func TestMemFS(t *testing.T) {
	now := time.Unix(1e9, 7)
	files := wasmer.NewMemFSWithConfig(wasmer.MemFSConfig{MaxBytes: 1024, MaxNodes: 4, Now: func() time.Time { return now }})
	require.NoError(t, files.MkdirAll("a/b"))
	require.NoError(t, files.WriteFile("a/b/file", []byte("text")))
	require.NoError(t, fstest.TestFS(files, "a/b/file"))

	info, err := files.Stat("a/b/file")
	require.NoError(t, err)
	require.True(t, now.Equal(info.ModTime()))
	require.Equal(t, int64(4), info.Size())
	_, err = files.Lstat("a/missing")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = files.ReadLink("a/b/file")
	require.ErrorIs(t, err, syscall.EINVAL)

	require.ErrorIs(t, files.WriteFile("large", make([]byte, 1000)), syscall.ENOSPC, "which has made the file")
	require.ErrorIs(t, files.MkdirAll("c"), syscall.ENOSPC)
	require.NoError(t, files.Remove("large"))
	require.NoError(t, files.MkdirAll("c"))
	require.ErrorIs(t, files.Remove("a"), syscall.ENOTEMPTY)
}
