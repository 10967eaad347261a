package wasmer_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Where a limit of the process is in the way of sharing data, instances copy it.
func TestDataIsCopiedWhereItCannotBeShared(t *testing.T) {
	for name, limit := range map[string]func(t *testing.T){
		"file descriptors": func(t *testing.T) {
			for range 10 {
				file, err := os.Open(os.DevNull)
				require.NoError(t, err)
				t.Cleanup(func() { _ = file.Close() })
			}
			lower(t, unix.RLIMIT_NOFILE, 40) // a quarter is in use
		},
		"file size": func(t *testing.T) { lower(t, unix.RLIMIT_FSIZE, 64<<10) }, // to exceed it is SIGXFSZ
	} {
		t.Run(name, func(t *testing.T) {
			if name == "file size" && os.Getenv("WASMER_GO_FORMAT") == "file" {
				t.Skip("compiled code is a file, too")
			}
			inChild(t, func(t *testing.T) {
				limit(t)
				eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
					module := compile(t, engine, fmt.Sprintf(`(module (memory (export "memory") 4) (data (i32.const 5000) %q))`, big))
					for range 4 {
						i := instance(t, module)
						require.Equal(t, big, wasmer.Must(i.Memory.ReadString(5000, uint64(len(big)))))
						require.Zero(t, wasmer.Stats().Images)
						require.NoError(t, i.Close())
					}
				})
			})
		})
	}
}

func lower(t *testing.T, resource int, to uint64) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(resource, &limit))
	limit.Cur = to
	require.NoError(t, unix.Setrlimit(resource, &limit))
}

// There may be more instances than mappings of shared data: the rest copies it.
func TestInstancesBeyondTheMappingsOfSharedDataCopyIt(t *testing.T) {
	const most, more = 8192, 20 // as src/image.rs has it
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Memories: wasmer.BoundedMemories})
	require.NoError(t, err)
	defer func() { require.NoError(t, engine.Close()) }()
	module := compile(t, engine, fmt.Sprintf(`(module (memory (export "memory") 2) (data (i32.const 0) %q))`, big[:64<<10]))
	var all []*wasmer.Instance
	for range most + more {
		all = append(all, instance(t, module))
	}
	for _, i := range all[most-more:] {
		require.Equal(t, big[:64<<10], wasmer.Must(i.Memory.ReadString(0, 64<<10)))
	}
	for _, i := range all {
		require.NoError(t, i.Close())
	}
}
