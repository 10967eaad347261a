package gojs_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/gojs"
)

func TestConfigIsChecked(t *testing.T) {
	fsys := fstest.MapFS{}
	for want, config := range map[string]wasmer.WASIConfig{
		"Args[1] is":                   {Args: []string{"a", ""}},
		`Args[0] is "a\x00"`:           {Args: []string{"a\x00"}},
		`Env: "=b"`:                    {Env: map[string]string{"": "b"}},
		`Env: "a=b=c"`:                 {Env: map[string]string{"a=b": "c"}},
		`Env: "a=\x00"`:                {Env: map[string]string{"a": "\x00"}},
		"Listeners":                    {Listeners: []net.Listener{nil}},
		"Conns":                        {Conns: []net.Conn{nil}},
		"Yield":                        {Yield: func() {}},
		"Stdin is a nil *bytes.Buffer": {Stdin: (*bytes.Buffer)(nil)},
		"Mounts[0]: Guest is \"../a\"": {Mounts: []wasmer.Mount{{Guest: "../a", FS: fsys}}},
		"Mounts[0]: Guest":             {Mounts: []wasmer.Mount{{FS: fsys}}},
		"either Host or FS":            {Mounts: []wasmer.Mount{{Guest: "/"}}},
		"Mounts[0] (/)":                {Mounts: []wasmer.Mount{{Guest: "/", FS: fsys, Host: "."}}},
		"Mounts[1]":                    {Mounts: []wasmer.Mount{{Guest: "/a", FS: fsys}, {Guest: "a/", FS: fsys}}},
		"Mounts[0] (/absent)":          {Mounts: []wasmer.Mount{{Guest: "/absent", Host: "testdata/absent"}}},
	} {
		t.Run(want, func(t *testing.T) {
			host, err := gojs.New(config)
			require.ErrorContains(t, err, want)
			require.Nil(t, host)
		})
	}
}

func TestRoomForArguments(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	got := run(t.Context(), module, wasmer.WASIConfig{Env: map[string]string{"A": strings.Repeat("x", 8000)}}, "exit", "0")
	require.NoError(t, got.err)
	got = run(t.Context(), module, wasmer.WASIConfig{Env: map[string]string{"A": strings.Repeat("x", 8192)}}, "exit", "0")
	require.ErrorContains(t, got.err, "Args and Env take")
}

func TestOtherModulesAreRefused(t *testing.T) {
	for want, text := range map[string]string{
		`no exported memory "mem"`:    `(module)`,
		`no exported function "run"`:  `(module (memory (export "mem") 1))`,
		`the export "run" is`:         `(module (memory (export "mem") 1) (func (export "run")))`,
		`"getsp" is a memory`:         guestText("", `(memory (export "getsp") 1)`),
		`import "wasi"."proc_exit"`:   `(module (import "wasi" "proc_exit" (func)))`,
		`"gojs"."runtime.wasmExit": `: `(module (import "gojs" "runtime.wasmExit" (func)))`,
	} {
		t.Run(want, func(t *testing.T) {
			module, err := wasmer.Compile([]byte(text))
			require.NoError(t, err)
			defer module.Close()
			require.ErrorContains(t, gojs.Run(t.Context(), module, wasmer.WASIConfig{}), want)
		})
	}
}

func TestStartOfNothing(t *testing.T) {
	host, err := gojs.New(wasmer.WASIConfig{})
	require.NoError(t, err)
	require.ErrorIs(t, host.Start(t.Context(), nil), wasmer.ErrClosed)
	require.NoError(t, host.Close())
	require.NoError(t, host.Close())
}
