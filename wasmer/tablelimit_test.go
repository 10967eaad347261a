package wasmer_test

import (
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A table that the system has no memory for is an error, or -1 for a guest, and not the end of the process.
func TestTheSystemRefusesMemoryForTables(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs RLIMIT_AS")
	}
	const large = 10_000_000 // 80 MB at least
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, use := range map[string]func(t *testing.T, store *wasmer.Store, instance *wasmer.Instance, declares *wasmer.Module){
			"made": func(t *testing.T, store *wasmer.Store, _ *wasmer.Instance, _ *wasmer.Module) {
				table, err := store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeExternRef, Limits: wasmer.Limits{Min: large}}, nil)
				require.ErrorIs(t, err, wasmer.ErrResource)
				require.Nil(t, table)
			},
			"declared": func(t *testing.T, store *wasmer.Store, _ *wasmer.Instance, declares *wasmer.Module) {
				instance, err := store.Instantiate(background, "", declares, nil)
				require.ErrorIs(t, err, wasmer.ErrResource)
				require.Nil(t, instance)
			},
			"grown by the guest": func(t *testing.T, _ *wasmer.Store, instance *wasmer.Instance, _ *wasmer.Module) {
				require.EqualValues(t, -1, call(t, instance, "grow", large-1).ToI32())
				require.EqualValues(t, 1, call(t, instance, "grow", 1).ToI32(), "it goes on")
			},
			"grown by the host": func(t *testing.T, _ *wasmer.Store, instance *wasmer.Instance, _ *wasmer.Module) {
				_, err := exportedTable(t, instance, "t").Grow(large-1, nil)
				require.ErrorIs(t, err, wasmer.ErrResource)
				require.EqualValues(t, 1, exportedTable(t, instance, "t").Size())
			},
		} {
			t.Run(name, func(t *testing.T) {
				inChild(t, func(t *testing.T) {
					store := newStore(t, engine)
					declares := compile(t, engine, `(module (table 10000000 funcref))`)
					instance := instantiateIn(t, store, engine, `(module (table $t (export "t") 1 externref)
						(func (export "grow") (param i32) (result i32) (table.grow (ref.null extern) (local.get 0))))`, nil)
					require.EqualValues(t, 1, call(t, instance, "grow", 0).ToI32())
					limit := memoryStatus("VmSize") + 70<<20 // threads that Go comes to need take some
					require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}))
					use(t, store, instance, declares)
				})
			})
		}
	})
}
